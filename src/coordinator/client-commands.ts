import { errorFields, GfsError, type Ino, type Logger } from '../core/index.js';
import type { Command, CommandResult, InodeRecord } from '../namespace/index.js';
import type { Awaitable } from './client.js';
import { type LeaseCache, LeaseLevel, inodeMadeBy } from './client-cache.js';
import type { ClientRecalls } from './client-recalls.js';
import type { ClientRequests } from './client-requests.js';
import type { Claim } from './wire/index.js';

/** Inodes that are made known to the coordinator again at a time, after a session was lost. */
const KNOW_PARALLEL = 64;

export interface CommandOptions {
  readonly cache: LeaseCache;
  readonly requests: ClientRequests;
  readonly recalls: ClientRecalls;
  readonly logger: Logger;
  readonly live: () => boolean;
  readonly inode: (ino: Ino) => Awaitable<InodeRecord | undefined>;
  readonly release: (inos: readonly Ino[]) => void;
}

/** What changes the namespace, or needs a lease for changing it. */
export class ClientCommands {
  readonly #options: CommandOptions;
  /** Commits that give the write lease up, and are not answered. */
  readonly #committing = new Map<Ino, Promise<unknown>>();
  /** Those of them that were begun under the write lease, with their numbers. */
  readonly #leased = new Map<Ino, number>();
  /** New inodes that were claimed while the command that makes them was not answered. */
  readonly #claimed = new Set<Ino>();
  /** Leases that were granted in this turn of the event loop. */
  readonly #fresh = new Set<Ino>();

  constructor(options: CommandOptions) {
    this.#options = options;
  }

  execute(command: Command, keepWrite: boolean): Awaitable<CommandResult> {
    if (command.kind === 'reap') return this.#reap(command.ino);
    if (command.kind !== 'commit' || keepWrite)
      return this.#execute(command, keepWrite, this.#options.requests.nextNumber());
    return this.#commitAndPart(command);
  }

  /** Write leases that end with a commit that is not answered: whether they have ended is not known here. */
  get committing(): ReadonlyMap<Ino, number> {
    return this.#leased;
  }

  /** What commands without an answer may have made: it is in use, for others can find and unlink it already. */
  claims(): Claim[] {
    const { cache, requests } = this.#options;
    const claims: Claim[] = [];
    for (const command of requests.sentCommands()) {
      const ino = inodeMadeBy(command);
      if (ino === undefined || cache.level(ino) !== LeaseLevel.none) continue;
      this.#claimed.add(ino);
      claims.push({ ino, mode: 'known' });
    }
    return claims;
  }

  /** Whether a lease was granted in this turn of the event loop. */
  justGranted(ino: Ino): boolean {
    return this.#fresh.has(ino);
  }

  #noteGranted(ino: Ino): void {
    if (this.#fresh.size === 0) setImmediate(() => this.#fresh.clear());
    this.#fresh.add(ino);
  }

  /** The session was lost, and all leases with it. */
  lost(): void {
    this.#leased.clear();
    this.#claimed.clear();
  }

  /** The coordinator turns the write lease into a read lease when it comes to the command: nothing new may begin now. */
  #commitAndPart(command: Extract<Command, { kind: 'commit' }>): Promise<CommandResult> {
    const { cache, requests } = this.#options;
    const { ino } = command;
    const number = requests.nextNumber();
    if (cache.level(ino) === LeaseLevel.write) this.#leased.set(ino, number);
    cache.part(ino);
    const done = this.#execute(command, false, number);
    const settled = done
      .then(
        () => undefined,
        () => undefined, // the caller is told
      )
      .then(() => {
        if (this.#committing.get(ino) !== settled) return;
        this.#committing.delete(ino);
        this.#leased.delete(ino);
      });
    this.#committing.set(ino, settled);
    return done;
  }

  #execute(command: Command, keepWrite: boolean, number: number): Promise<CommandResult> {
    const { cache, requests } = this.#options;
    let lettingGo = false;
    const done = requests.ask<'execute', CommandResult>(
      { op: 'execute', number, answeredBelow: 0, keepWrite, command },
      ({ inode, orphaned, writes, leased }, id) => {
        if (command.kind === 'commit' && !keepWrite && cache.level(command.ino) === LeaseLevel.write) {
          cache.lower(command.ino, 'read');
        }
        cache.takeWrites(command, writes, leased, id);
        lettingGo = cache.take(inode, id) === 'void';
        if (cache.mayWrite(inode.record.ino)) this.#noteGranted(inode.record.ino);
        return orphaned === undefined ? { inode: inode.record } : { inode: inode.record, orphaned };
      },
    );
    return done
      .finally(() => this.#unclaim(command))
      .then(async (result) => {
        // The inode was released meanwhile, and is used again now: the coordinator must know.
        if (lettingGo) await this.#options.inode(result.inode.ino);
        return result;
      });
  }

  /** The command is over; what it has not made nobody uses. */
  #unclaim(command: Command): void {
    const ino = inodeMadeBy(command);
    if (ino === undefined || !this.#claimed.delete(ino)) return;
    if (this.#options.cache.level(ino) === LeaseLevel.none) this.#options.release([ino]);
  }

  /** The coordinator deletes an orphan itself, as soon as nobody knows it. */
  #reap(ino: Ino): Awaitable<CommandResult> {
    const record = this.#options.inode(ino);
    if (record instanceof Promise) return record.then((found) => this.#released(ino, found));
    return this.#released(ino, record);
  }

  #released(ino: Ino, record: InodeRecord | undefined): CommandResult {
    if (record === undefined) throw new GfsError('ESTALE', `no inode ${ino}`, { context: { ino } });
    if (record.nlink === 0) this.#options.release([ino]);
    return { inode: record };
  }

  acquire(ino: Ino, mode: 'read' | 'write'): Awaitable<InodeRecord> {
    return this.#held(ino, mode) ?? this.#acquire(ino, mode);
  }

  #held(ino: Ino, mode: 'read' | 'write'): InodeRecord | undefined {
    const { cache, live } = this.#options;
    if (!live()) return undefined;
    const held = mode === 'write' ? cache.mayWrite(ino) : cache.level(ino) >= LeaseLevel.read;
    return held ? cache.record(ino) : undefined;
  }

  async #acquire(ino: Ino, mode: 'read' | 'write'): Promise<InodeRecord> {
    for (;;) {
      const others = this.#options.recalls.lettingGo(ino) ?? this.#committing.get(ino);
      if (others !== undefined) await others;
      const record = this.#held(ino, mode) ?? (others === undefined ? await this.#ask(ino, mode) : undefined);
      if (record !== undefined) return record;
    }
  }

  /** @returns undefined when the lease was let go of before the answer came */
  #ask(ino: Ino, mode: 'known' | 'read' | 'write'): Promise<InodeRecord | undefined> {
    const { cache, requests } = this.#options;
    return requests.ask<'acquire', InodeRecord | undefined>({ op: 'acquire', ino, mode }, ({ inode }, id) => {
      if (!cache.grant(ino, LeaseLevel[mode], id)) return undefined;
      cache.take(inode, id);
      this.#noteGranted(ino);
      return inode.record;
    });
  }

  /** Tells a new session's coordinator what is in use here: an orphan among it is kept as long as that lasts. */
  know(inos: readonly Ino[]): void {
    const { cache, requests } = this.#options;
    // From now on: the next hello claims them too, and who lets go of one before the answer says so.
    for (const ino of inos) cache.grant(ino, LeaseLevel.known, requests.nextId);
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let ino = inos[next++]; ino !== undefined; ino = inos[next++]) {
        try {
          await this.#ask(ino, 'known');
        } catch (thrown) {
          this.#options.logger.debug('an inode in use is no more', { ino, ...errorFields(thrown) });
        }
      }
    };
    for (let i = 0; i < Math.min(KNOW_PARALLEL, inos.length); i++) void worker();
  }
}
