import type { LockFamily, LockRange, LockRequest, NamespaceClient } from '../coordinator/index.js';
import { GfsError, type Ino } from '../core/index.js';
import { F_RDLCK, F_UNLCK, F_WRLCK } from './protocol/constants.js';
import type { FileLock } from './protocol/reply.js';

/** Files end here for locks: the kernel's OFFSET_MAX does not fit 53 bits, and nothing lies above. */
const OFFSET_MAX = Number.MAX_SAFE_INTEGER;
const KERNEL_OFFSET_MAX = 2 ** 63;

/** fcntl and flock locks that the coordinator keeps: they hold across mounts. */
export class LockOperations {
  readonly #client: NamespaceClient;
  /** Through which handle each owner last asked for an fcntl lock; an entry goes when its file is closed. */
  readonly #handles = new Map<Ino, Map<string, number>>();

  constructor(client: NamespaceClient) {
    this.#client = client;
  }

  async get(ino: Ino, owner: string, lock: FileLock): Promise<FileLock> {
    const found = await this.#client.lockConflict(ino, 'posix', request(owner, lock));
    return found === undefined ? { ...lock, type: F_UNLCK } : reported(found);
  }

  /** @throws GfsError EAGAIN when another owner holds what conflicts */
  async set(ino: Ino, family: LockFamily, owner: string, lock: FileLock, fh: number): Promise<void> {
    this.#remember(ino, family, owner, fh);
    if (!(await this.#client.tryLock(ino, family, request(owner, lock)))) {
      throw new GfsError('EAGAIN', `a lock on inode ${ino} is held by somebody else`);
    }
  }

  /** @throws GfsError EDEADLK; EINTR when `signal` aborts */
  wait(
    ino: Ino,
    family: LockFamily,
    owner: string,
    lock: FileLock,
    fh: number,
    signal: AbortSignal,
  ): Promise<void> {
    this.#remember(ino, family, owner, fh);
    return this.#client.waitLock(ino, family, request(owner, lock), signal);
  }

  /** Lets go of everything that one owner holds on a file: its descriptor was closed. */
  async release(ino: Ino, family: LockFamily, owner: string): Promise<void> {
    if (family === 'posix' && !this.#forget(ino, owner)) return; // it never asked for any
    await this.#client.tryLock(ino, family, { owner, pid: 0, type: 'unlock', start: 0, end: OFFSET_MAX });
  }

  /**
   * The last descriptor of a handle was closed. What is still locked through it belongs to the open file itself
   * (F_OFD_SETLK): no FLUSH names that owner.
   */
  async releaseHandle(ino: Ino, fh: number): Promise<void> {
    for (const [owner, through] of [...(this.#handles.get(ino) ?? [])]) {
      if (through === fh) await this.release(ino, 'posix', owner);
    }
  }

  #remember(ino: Ino, family: LockFamily, owner: string, fh: number): void {
    if (family !== 'posix') return;
    const owners = this.#handles.get(ino) ?? new Map<string, number>();
    this.#handles.set(ino, owners.set(owner, fh));
  }

  #forget(ino: Ino, owner: string): boolean {
    const owners = this.#handles.get(ino);
    const known = owners?.delete(owner) === true;
    if (owners?.size === 0) this.#handles.delete(ino);
    return known;
  }
}

function request(owner: string, lock: FileLock): LockRequest {
  const type = lock.type === F_UNLCK ? 'unlock' : lock.type === F_WRLCK ? 'write' : 'read';
  const [start, end] = [Math.min(lock.start, OFFSET_MAX), Math.min(lock.end, OFFSET_MAX)];
  return { owner, pid: lock.pid, type, start, end };
}

const reported = (range: LockRange): FileLock => ({
  start: range.start,
  end: range.end >= OFFSET_MAX ? KERNEL_OFFSET_MAX : range.end,
  type: range.type === 'write' ? F_WRLCK : F_RDLCK,
  pid: range.pid,
});
