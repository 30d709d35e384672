import type { Ino } from '../../../src/core/index.js';
import {
  type LeaseChanges,
  type LeaseEffect,
  LeaseMachine,
  type LeaseMode,
} from '../../../src/leases/index.js';
import type { Rules } from './rules.js';

/** The lease machine, perhaps with one rule broken. */
export class MutantMachine<Token> extends LeaseMachine<Token> {
  readonly #rules: Rules;

  constructor(rules: Rules) {
    super();
    this.#rules = rules;
  }

  override acquire(session: string, ino: Ino, mode: LeaseMode, token: Token): LeaseEffect<Token>[] {
    const effects = super.acquire(session, ino, mode, token);
    if (this.#rules.hold('recalls are awaited')) return effects;
    const acknowledged = effects.flatMap((effect) =>
      effect.kind === 'recall' ? super.acknowledge(effect.session, effect.recall) : [],
    );
    return [...effects, ...acknowledged];
  }

  override exclude(session: string, ino: Ino, token: Token): LeaseEffect<Token>[] {
    if (this.#rules.hold('truncation excludes')) return super.exclude(session, ino, token);
    return [{ kind: 'granted', token }];
  }

  override grant(session: string, ino: Ino, mode: 'read' | 'write'): boolean {
    return super.grant(session, ino, mode) || !this.#rules.hold('reads keep away from writers');
  }

  override invalidate(author: string | undefined, changes: LeaseChanges, token: Token): LeaseEffect<Token>[] {
    const told = {
      entries: this.#rules.hold('entries are noticed') ? changes.entries : [],
      inodes: this.#rules.hold('records are noticed')
        ? changes.inodes
        : changes.inodes.filter((inode) => inode.orphaned),
    };
    const effects = super.invalidate(author, told, token);
    if (this.#rules.hold('notices are awaited')) return effects;
    const settled = effects.flatMap((effect) =>
      effect.kind === 'notify' ? super.acknowledge(effect.session, effect.notice) : [],
    );
    return [...effects, ...settled];
  }

  override endSession(session: string): LeaseEffect<Token>[] {
    if (this.#rules.hold('ended sessions let go')) return super.endSession(session);
    return [];
  }

  override resetSession(
    session: string,
    claims: readonly { readonly ino: Ino; readonly mode: 'known' | 'write' }[],
  ): LeaseEffect<Token>[] {
    const effects = super.resetSession(session, this.#rules.hold('claims are kept') ? claims : []);
    if (this.#rules.hold('pending recalls are repeated')) return effects;
    return effects.filter((effect) => effect.kind !== 'recall');
  }
}
