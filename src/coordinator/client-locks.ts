import { GfsError, type Ino } from '../core/index.js';
import { type LockFamily, type LockRange, type LockRequest, replaceRange } from '../leases/index.js';
import type { Awaitable } from './client.js';
import type { ClientRequests } from './client-requests.js';
import type { ClaimedLock } from './wire/index.js';

/** The locks of one file. */
interface FileLocks {
  readonly ino: Ino;
  readonly family: LockFamily;
  /** Held by owners of this mount, as the coordinator has answered. */
  ranges: LockRange[];
  /** Requests that are not answered. */
  asking: number;
}

/** File locks are the coordinator's; here is a note of those that this mount's processes hold, to claim them again. */
export class ClientLocks {
  readonly #requests: ClientRequests;
  readonly #files = new Map<string, FileLocks>();

  constructor(requests: ClientRequests) {
    this.#requests = requests;
  }

  /** Number of ranges held. */
  get held(): number {
    let held = 0;
    for (const { ranges } of this.#files.values()) held += ranges.length;
    return held;
  }

  claims(): ClaimedLock[] {
    return [...this.#files.values()].flatMap(({ ino, family, ranges }) =>
      ranges.map((range) => ({ ino, family, range })),
    );
  }

  /** The session was lost, and all locks with it. @returns how many there were */
  lost(): number {
    const held = this.held;
    for (const file of this.#files.values()) file.ranges = [];
    this.#tidy();
    return held;
  }

  conflict(ino: Ino, family: LockFamily, request: LockRequest): Promise<LockRange | undefined> {
    return this.#requests.ask<'lock-conflict', LockRange | undefined>(
      { op: 'lock-conflict', ino, family, request },
      ({ range }) => range,
    );
  }

  tryLock(ino: Ino, family: LockFamily, request: LockRequest): Awaitable<boolean> {
    const file = this.#files.get(keyOf(ino, family));
    // Every close asks for this, whether anything was locked or not.
    const nothing = file === undefined || (file.asking === 0 && !holds(file.ranges, request.owner));
    if (request.type === 'unlock' && nothing) return true;
    return this.#asking(ino, family, (noted) =>
      this.#requests.ask<'try-lock', boolean>({ op: 'try-lock', ino, family, request }, ({ acquired }) => {
        if (acquired) noted.ranges = replaceRange(noted.ranges, request);
        return acquired;
      }),
    );
  }

  wait(ino: Ino, family: LockFamily, request: LockRequest, signal: AbortSignal): Promise<void> {
    const interrupted = new GfsError('EINTR', 'the wait for a lock was interrupted');
    if (signal.aborted) return Promise.reject(interrupted);
    return this.#asking(ino, family, async (noted) => {
      let giveUp: () => void = () => undefined;
      try {
        await this.#requests.ask<'wait-lock', void>(
          { op: 'wait-lock', ino, family, request },
          () => void (noted.ranges = replaceRange(noted.ranges, request)),
          (id) => {
            giveUp = () => this.#requests.cancel(id, interrupted);
            signal.addEventListener('abort', giveUp, { once: true });
          },
        );
      } catch (thrown) {
        throw signal.aborted ? interrupted : thrown;
      } finally {
        signal.removeEventListener('abort', giveUp);
      }
    });
  }

  async #asking<T>(ino: Ino, family: LockFamily, ask: (file: FileLocks) => Promise<T>): Promise<T> {
    const key = keyOf(ino, family);
    const file = this.#files.get(key) ?? { ino, family, ranges: [], asking: 0 };
    this.#files.set(key, file);
    file.asking++;
    try {
      return await ask(file);
    } finally {
      file.asking--;
      if (file.asking === 0 && file.ranges.length === 0) this.#files.delete(key);
    }
  }

  #tidy(): void {
    for (const [key, file] of this.#files)
      if (file.asking === 0 && file.ranges.length === 0) this.#files.delete(key);
  }
}

const keyOf = (ino: Ino, family: LockFamily): string => `${family}/${ino}`;

const holds = (ranges: readonly LockRange[], owner: string): boolean =>
  ranges.some((range) => range.owner === owner);
