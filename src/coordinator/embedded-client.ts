import { GfsError, type Ino, type Name } from '../core/index.js';
import { type LockFamily, type LockRange, type LockRequest, LockTable } from '../leases/index.js';
import type { Command, Executed, InodeRecord, NamedDentry, Namespace } from '../namespace/index.js';
import type { Awaitable, NamespaceClient, NamespaceStatistics } from './client.js';

/** Inode numbers taken from the namespace at a time: each taking is one small write to the store. */
const INO_RANGE = 4096;

/** The client of a coordinator in the same process: the only one, so nobody else has to be told anything. */
export class EmbeddedClient implements NamespaceClient {
  readonly #namespace: Namespace;
  readonly #locks = new LockTable();
  readonly #contentFreed: () => void;
  #nextIno = 0;
  #inosLeft = 0;

  /** @param contentFreed called when a version or an inode with content is gone */
  constructor(namespace: Namespace, contentFreed: () => void = () => undefined) {
    this.#namespace = namespace;
    this.#contentFreed = contentFreed;
  }

  /** Waits while the store is behind by more than its bound. */
  execute(command: Command): Awaitable<Executed> {
    const congestion = this.#namespace.congestion();
    return congestion === undefined ? this.#execute(command) : congestion.then(() => this.#execute(command));
  }

  #execute(command: Command): Executed {
    const executed = this.#namespace.execute(command);
    const replaced = command.kind === 'commit' && executed.inode.version > 1;
    if (command.kind === 'reap' || replaced) this.#contentFreed();
    return executed;
  }

  inode(ino: Ino): InodeRecord | undefined {
    return this.#namespace.inode(ino);
  }

  lookup(parent: Ino, name: Name): InodeRecord | undefined {
    return this.#namespace.lookup(parent, name);
  }

  readDirectory(ino: Ino, after: Name | '', limit: number): NamedDentry[] {
    return this.#namespace.readDirectory(ino, after, limit);
  }

  xattr(ino: Ino, name: string): Uint8Array | undefined {
    return this.#namespace.xattr(ino, name);
  }

  xattrNames(ino: Ino): readonly string[] {
    return this.#namespace.xattrNames(ino);
  }

  acquire(ino: Ino): InodeRecord {
    const record = this.#namespace.inode(ino);
    if (record === undefined) throw new GfsError('ESTALE', `no inode ${ino}`, { context: { ino } });
    return record;
  }

  holds(): boolean {
    return true;
  }

  attributesLeased(): boolean {
    return true;
  }

  entryLeased(): boolean {
    return true;
  }

  unused(): void {
    // The mount reaps by itself: nobody else can have it open.
  }

  serve(): void {
    // Nobody else changes anything: there is nothing to tell the host.
  }

  nextIno(): Ino {
    if (this.#inosLeft === 0) {
      const range = this.#namespace.reserveInos(INO_RANGE);
      this.#nextIno = range.first;
      this.#inosLeft = range.count;
    }
    this.#inosLeft--;
    return this.#nextIno++ as Ino;
  }

  pathOf(ino: Ino): Promise<string | undefined> {
    return this.#namespace.pathOf(ino);
  }

  orphans(): readonly Ino[] {
    return this.#namespace.orphans();
  }

  statistics(): NamespaceStatistics {
    return this.#namespace.stats();
  }

  lockConflict(ino: Ino, family: LockFamily, request: LockRequest): LockRange | undefined {
    return this.#locks.conflict(ino, family, request);
  }

  tryLock(ino: Ino, family: LockFamily, request: LockRequest): boolean {
    return this.#locks.tryAcquire(ino, family, request);
  }

  waitLock(ino: Ino, family: LockFamily, request: LockRequest, signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const outcome = this.#locks.wait(ino, family, request, resolve);
      if (outcome === 'deadlock') {
        reject(new GfsError('EDEADLK', `waiting for a lock on inode ${ino} would never end`));
        return;
      }
      const giveUp = (): void => {
        outcome();
        reject(new GfsError('EINTR', 'the wait for a lock was interrupted'));
      };
      if (signal.aborted) giveUp();
      else signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  stored(): Promise<void> {
    return this.#namespace.stored();
  }

  flush(): Promise<void> {
    return this.#namespace.flush();
  }
}
