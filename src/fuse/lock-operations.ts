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

  constructor(client: NamespaceClient) {
    this.#client = client;
  }

  async get(ino: Ino, owner: string, lock: FileLock): Promise<FileLock> {
    const found = await this.#client.lockConflict(ino, 'posix', request(owner, lock));
    return found === undefined ? { ...lock, type: F_UNLCK } : reported(found);
  }

  /** @throws GfsError EAGAIN when another owner holds what conflicts */
  async set(ino: Ino, family: LockFamily, owner: string, lock: FileLock): Promise<void> {
    if (!(await this.#client.tryLock(ino, family, request(owner, lock)))) {
      throw new GfsError('EAGAIN', `a lock on inode ${ino} is held by somebody else`);
    }
  }

  /** @throws GfsError EDEADLK; EINTR when `signal` aborts */
  wait(ino: Ino, family: LockFamily, owner: string, lock: FileLock, signal: AbortSignal): Promise<void> {
    return this.#client.waitLock(ino, family, request(owner, lock), signal);
  }

  /** Lets go of everything that one owner holds on a file: its descriptor was closed. */
  async release(ino: Ino, family: LockFamily, owner: string): Promise<void> {
    await this.#client.tryLock(ino, family, { owner, pid: 0, type: 'unlock', start: 0, end: OFFSET_MAX });
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
