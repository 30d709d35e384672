import type { Ino } from '../core/index.js';

/** fcntl locks have ranges and belong to a process; flock locks cover the file and belong to an open file. */
export type LockFamily = 'posix' | 'flock';

/** `end` is the last byte, inclusive. `owner` is the kernel's lock owner, made unique across mounts. */
export interface LockRange {
  readonly owner: string;
  readonly pid: number;
  readonly type: 'read' | 'write';
  readonly start: number;
  readonly end: number;
}

export type LockRequest = Omit<LockRange, 'type'> & { readonly type: LockRange['type'] | 'unlock' };

interface Waiter {
  readonly family: LockFamily;
  readonly request: LockRequest;
  readonly granted: () => void;
}

/**
 * The locks of all files. `acquire` either grants at once or queues; whatever lets go of a range grants
 * those that waited for it, in the order they came.
 */
export class LockTable {
  readonly #held = new Map<string, LockRange[]>();
  readonly #waiting = new Map<string, Waiter[]>();

  /** The first lock that stands in the way, as fcntl(F_GETLK) reports it. */
  conflict(ino: Ino, family: LockFamily, request: LockRequest): LockRange | undefined {
    if (request.type === 'unlock') return undefined;
    return this.#held.get(key(ino, family))?.find((held) => conflicts(held, request));
  }

  /** Sets or clears a lock; false, and nothing changed, when another owner stands in the way. */
  tryAcquire(ino: Ino, family: LockFamily, request: LockRequest): boolean {
    if (this.conflict(ino, family, request) !== undefined) return false;
    const at = key(ino, family);
    const ranges = replaceRange(this.#held.get(at) ?? [], request);
    if (ranges.length === 0) this.#held.delete(at);
    else this.#held.set(at, ranges);
    this.#wake(ino, family);
    return true;
  }

  /**
   * Waits for a lock. `granted` is called once it is held: before `wait` returns when nothing is in the way.
   * @returns 'deadlock' when the wait could never end (fcntl's EDEADLK), else how to give up waiting
   */
  wait(ino: Ino, family: LockFamily, request: LockRequest, granted: () => void): 'deadlock' | (() => void) {
    if (this.tryAcquire(ino, family, request)) {
      granted();
      return () => undefined;
    }
    if (family === 'posix' && this.#wouldDeadlock(ino, request)) return 'deadlock';
    const at = key(ino, family);
    const waiter: Waiter = { family, request, granted };
    this.#waiting.set(at, [...(this.#waiting.get(at) ?? []), waiter]);
    return () => this.#dropWaiter(at, waiter);
  }

  /** Ranges that are held. */
  get count(): number {
    let count = 0;
    for (const ranges of this.#held.values()) count += ranges.length;
    return count;
  }

  /**
   * The owners whose names begin with `prefix` hold exactly these ranges from now on: nobody else gets hold of
   * one of them meanwhile. A range that another owner has is not given.
   */
  replaceOwners(
    prefix: string,
    locks: readonly { readonly ino: Ino; readonly family: LockFamily; readonly range: LockRange }[],
  ): void {
    const freed: string[] = [];
    for (const [at, ranges] of this.#held) {
      const kept = ranges.filter(({ owner }) => !owner.startsWith(prefix));
      if (kept.length === ranges.length) continue;
      freed.push(at);
      if (kept.length === 0) this.#held.delete(at);
      else this.#held.set(at, kept);
    }
    for (const { ino, family, range } of locks) {
      const at = key(ino, family);
      if (this.conflict(ino, family, range) !== undefined) continue;
      this.#held.set(at, replaceRange(this.#held.get(at) ?? [], range));
    }
    for (const at of freed) {
      const [family, ino] = at.split('/');
      this.#wake(Number(ino) as Ino, family as LockFamily);
    }
  }

  #wake(ino: Ino, family: LockFamily): void {
    const at = key(ino, family);
    for (const waiter of [...(this.#waiting.get(at) ?? [])]) {
      if (this.conflict(ino, family, waiter.request) !== undefined) continue;
      if (this.#waiting.get(at)?.includes(waiter) !== true) continue; // granted by a wake further in
      this.#dropWaiter(at, waiter);
      this.tryAcquire(ino, family, waiter.request);
      waiter.granted();
    }
  }

  #dropWaiter(at: string, waiter: Waiter): void {
    const left = (this.#waiting.get(at) ?? []).filter((other) => other !== waiter);
    if (left.length === 0) this.#waiting.delete(at);
    else this.#waiting.set(at, left);
  }

  /** Whether some owner that we would wait for waits, through others, for us. */
  #wouldDeadlock(ino: Ino, request: LockRequest): boolean {
    const blockersOf = (at: string, wanted: LockRequest): string[] =>
      (this.#held.get(at) ?? []).filter((held) => conflicts(held, wanted)).map((held) => held.owner);
    const seen = new Set<string>();
    const pending = blockersOf(key(ino, 'posix'), request);
    for (let owner = pending.pop(); owner !== undefined; owner = pending.pop()) {
      if (owner === request.owner) return true;
      if (seen.has(owner)) continue;
      seen.add(owner);
      for (const [at, waiters] of this.#waiting) {
        for (const waiter of waiters) {
          if (waiter.family === 'posix' && waiter.request.owner === owner)
            pending.push(...blockersOf(at, waiter.request));
        }
      }
    }
    return false;
  }
}

const key = (ino: Ino, family: LockFamily): string => `${family}/${ino}`;

function conflicts(held: LockRange, request: LockRequest): boolean {
  if (held.owner === request.owner) return false;
  if (held.type === 'read' && request.type === 'read') return false;
  return held.start <= request.end && request.start <= held.end;
}

/**
 * An owner's new lock replaces what it held of the range; neighbours of the same type are joined. As in the kernel's
 * list (posix_lock_inode, linux/fs/locks.c) owners stay in the order of their first lock, each with its locks by
 * start: so F_GETLK names the same one of several that conflict.
 */
export function replaceRange(ranges: readonly LockRange[], request: LockRequest): LockRange[] {
  const own: LockRange[] = [];
  let { start, end } = request;
  for (const held of ranges) {
    if (held.owner !== request.owner) continue;
    if (held.type === request.type && held.start <= end + 1 && start <= held.end + 1) {
      start = Math.min(start, held.start);
      end = Math.max(end, held.end);
      continue;
    }
    if (held.start < request.start) own.push({ ...held, end: Math.min(held.end, request.start - 1) });
    if (held.end > request.end) own.push({ ...held, start: Math.max(held.start, request.end + 1) });
  }
  if (request.type !== 'unlock') own.push({ ...request, type: request.type, start, end });
  own.sort((a, b) => a.start - b.start);
  const first = ranges.findIndex(({ owner }) => owner === request.owner);
  const at = first < 0 ? ranges.length : first;
  const others = ranges.filter(({ owner }) => owner !== request.owner);
  return [...others.slice(0, at), ...own, ...others.slice(at)];
}
