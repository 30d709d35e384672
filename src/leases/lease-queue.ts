import type { RecallTarget, SessionId } from './lease-effects.js';

/** A request that waits for a mode. */
export interface LeaseWaiter<Token> {
  readonly session: SessionId;
  readonly wanted: 'read' | 'write';
  readonly token: Token;
  /** A command that needs the inode for itself, until it lowers the mode again. */
  readonly excludes: boolean;
}

/** A recall that is sent and not acknowledged. */
export interface PendingRecall {
  readonly id: number;
  readonly to: RecallTarget;
}

/** What is under way on one inode. It exists only while something is. */
export class LeaseQueue<Token> {
  /** First come, first served: nobody overtakes, so nobody starves. */
  waiters: LeaseWaiter<Token>[] = [];
  /** One per holder at most: a second one, if it is needed, follows the first one's acknowledgement. */
  readonly recalls = new Map<SessionId, PendingRecall>();

  get idle(): boolean {
    return this.waiters.length === 0 && this.recalls.size === 0;
  }

  /** Whether another session than this waits for `write`: reads that come now would make it wait on. */
  awaitsWriteOfOther(session: SessionId): boolean {
    return this.waiters.some((waiter) => waiter.wanted === 'write' && waiter.session !== session);
  }
}
