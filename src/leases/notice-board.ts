import type { SessionId } from './lease-effects.js';

/** One invalidation: how many of its notices are not acknowledged yet. */
interface Invalidation<Token> {
  readonly token: Token;
  waitingFor: number;
}

/** Notices that were sent and are not acknowledged, and what waits for them. */
export class NoticeBoard<Token> {
  readonly #bySession = new Map<SessionId, Map<number, Invalidation<Token>>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  sizeOf(session: SessionId): number {
    return this.#bySession.get(session)?.size ?? 0;
  }

  /** @param notices one per session */
  post(token: Token, notices: readonly { readonly session: SessionId; readonly id: number }[]): void {
    const invalidation = { token, waitingFor: notices.length };
    for (const { session, id } of notices) {
      let ofSession = this.#bySession.get(session);
      if (ofSession === undefined)
        this.#bySession.set(session, (ofSession = new Map<number, Invalidation<Token>>()));
      ofSession.set(id, invalidation);
    }
    this.#size += notices.length;
  }

  /** @returns the token of the invalidation that waited for this notice last; else nothing */
  acknowledge(session: SessionId, id: number): Token[] {
    const ofSession = this.#bySession.get(session);
    const invalidation = ofSession?.get(id);
    if (ofSession === undefined || invalidation === undefined) return [];
    ofSession.delete(id);
    if (ofSession.size === 0) this.#bySession.delete(session);
    this.#size--;
    invalidation.waitingFor--;
    return invalidation.waitingFor === 0 ? [invalidation.token] : [];
  }

  /** All of a session's, in the order in which they were posted. */
  acknowledgeAll(session: SessionId): Token[] {
    const ids = [...(this.#bySession.get(session)?.keys() ?? [])];
    return ids.flatMap((id) => this.acknowledge(session, id));
  }
}
