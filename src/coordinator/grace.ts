import type { Session } from './session.js';

type GraceState =
  | { readonly kind: 'waiting'; readonly missing: Set<Session>; readonly held: (() => void)[] }
  | { readonly kind: 'over' };

/**
 * What a new leader grants, its mounts have not: until every session that an earlier leader left has come back with
 * its claims, or has ended, requests are kept. It lasts as long as the sessions may take to come back.
 */
export class Grace {
  #state: GraceState;
  readonly #over: () => void;

  /** @param over called once, before the first request is let through */
  constructor(missing: Iterable<Session>, over: () => void) {
    this.#state = { kind: 'waiting', missing: new Set(missing), held: [] };
    this.#over = over;
  }

  get isOver(): boolean {
    return this.#state.kind === 'over';
  }

  /** Ends it at once when there is nobody to wait for. */
  start(): void {
    this.#check();
  }

  /** ms until the last missing session ends; 0 when it is over. */
  leftMs(nowMs: number): number {
    if (this.#state.kind === 'over') return 0;
    return Math.max(0, ...[...this.#state.missing].map(({ expiresAtMs }) => expiresAtMs - nowMs));
  }

  /** Kept until it is over, then run in order. Bounded by what the mounts' kernels have under way. */
  hold(run: () => void): void {
    if (this.#state.kind === 'over') run();
    else this.#state.held.push(run);
  }

  /** A session has come back, or has ended. */
  resolved(session: Session): void {
    if (this.#state.kind === 'over' || !this.#state.missing.delete(session)) return;
    this.#check();
  }

  #check(): void {
    if (this.#state.kind === 'over' || this.#state.missing.size > 0) return;
    const { held } = this.#state;
    this.#state = { kind: 'over' };
    this.#over();
    for (const run of held) run();
  }
}
