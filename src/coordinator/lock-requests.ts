import { GfsError } from '../core/index.js';
import { type LockRequest, LockTable } from '../leases/index.js';
import type { OpenRequest } from './open-request.js';
import type { Session } from './session.js';
import type { ClaimedLock, Request } from './wire/index.js';

export type LockAsk = Extract<Request, { op: 'lock-conflict' | 'try-lock' | 'wait-lock' }>;

/** File locks of all mounts. An owner's name begins with its session: owners are unique only within a mount. */
export class LockRequests {
  readonly #table = new LockTable();

  get count(): number {
    return this.#table.count;
  }

  evaluate(request: OpenRequest<LockAsk>): void {
    const { request: ask, session } = request;
    const wanted = { ...ask.request, owner: prefixOf(session) + ask.request.owner };
    switch (ask.op) {
      case 'lock-conflict': {
        const found = this.#table.conflict(ask.ino, ask.family, wanted);
        if (found === undefined) request.reply({ op: 'lock-conflict' });
        else request.reply({ op: 'lock-conflict', range: { ...found, owner: withoutPrefix(found.owner) } });
        break;
      }
      case 'try-lock':
        request.reply({ op: 'try-lock', acquired: this.#table.tryAcquire(ask.ino, ask.family, wanted) });
        break;
      case 'wait-lock':
        this.#wait(request, wanted);
        break;
    }
  }

  /** A wait is given up. When the lock is held already, the answer to that is under way. */
  cancel(request: OpenRequest): void {
    if (request.request.op !== 'wait-lock') return;
    request.giveUp?.();
    request.fail(new GfsError('EINTR', 'the wait for a lock was interrupted'));
  }

  /** The session holds these locks and no others. */
  claim(session: Session, locks: readonly ClaimedLock[]): void {
    const prefix = prefixOf(session);
    const claims = locks.map(({ ino, family, range }) => ({
      ino,
      family,
      range: { ...range, owner: prefix + range.owner },
    }));
    this.#table.replaceOwners(prefix, claims);
  }

  #wait(request: OpenRequest<LockAsk>, wanted: LockRequest): void {
    const { ino, family } = request.request;
    const outcome = this.#table.wait(ino, family, wanted, () => request.reply({ op: 'wait-lock' }));
    if (outcome === 'deadlock') {
      request.fail(new GfsError('EDEADLK', `waiting for a lock on inode ${ino} would never end`));
      return;
    }
    if (request.over) return;
    request.giveUp = outcome;
    request.park();
  }
}

const prefixOf = (session: Session): string => `${session.id}/`;
const withoutPrefix = (owner: string): string => owner.slice(owner.indexOf('/') + 1);
