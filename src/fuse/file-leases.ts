import type { Awaitable, LeaseHost, LiveAttributes, NamespaceClient } from '../coordinator/index.js';
import {
  type Clock,
  errorFields,
  GfsError,
  type Ino,
  type Logger,
  type Name,
  toGfsError,
} from '../core/index.js';
import { type InodeRecord, isRegular } from '../namespace/index.js';
import type { ContentCache } from '../transfer/index.js';
import type { KernelCache } from './context.js';
import { LeaseGate, type GateMode } from './lease-gate.js';
import { liveOf } from './live-attributes.js';
import type { OpenFile, OpenTable } from './open-table.js';
import type { PageMemory } from './page-memory.js';

/** What cannot be stored at a recall is tried again after this long, doubling up to the second number. */
const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 10_000;
/**
 * How long a recall waits for the kernel to hand over what memory maps have changed. It does so at once; only a
 * page that somebody else waits for holds it up.
 */
const WRITE_BACK_MS = 1_000;

/** Each means that this mount has published once more while it asked: more than once in a row is rare. */
const NEWEST_ATTEMPTS = 8;

export interface FileLeasesParts {
  readonly client: NamespaceClient;
  readonly content: ContentCache;
  readonly kernel: KernelCache;
  readonly table: OpenTable;
  readonly pages: PageMemory;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The leases on the contents of a mount's files, where other mounts share them: nothing of a content is read
 * without a read lease, nothing is changed without the write lease; and what the coordinator asks of the
 * mount is done (`LeaseHost`).
 *
 * The kernel's pages. A recall makes the kernel's attributes expire, which takes no lock, and is then answered;
 * the pages go after that, since a page may be locked by a request that waits for the very lease. Until they
 * are gone GETATTR waits (`settled`), and the kernel asks for attributes before it reads from a page of a file
 * whose attributes have expired (FUSE_AUTO_INVAL_DATA; fuse_cache_read_iter in linux/fs/fuse/file.c).
 */
export class FileLeases implements LeaseHost {
  readonly #parts: FileLeasesParts;
  readonly #gates = new Map<Ino, LeaseGate>();
  readonly #dropping = new Map<Ino, Promise<void>>();
  /** The kernel is handing over what memory maps changed: it still counts under the lease that is recalled. */
  readonly #writingBack = new Set<Ino>();
  readonly #stopping = new AbortController();

  constructor(parts: FileLeasesParts) {
    this.#parts = parts;
  }

  /** Recalls that wait for a store give up: what is staged stays so. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Whether an operation on the content may go ahead in this turn. */
  current(file: OpenFile, mode: GateMode): boolean {
    if (!file.fresh) return false;
    if (this.#writingBack.has(file.ino)) return true;
    return this.#gates.get(file.ino)?.closed(mode) === undefined && this.#parts.client.holds(file.ino, mode);
  }

  /**
   * Runs `work` under the lease, with the content brought up to date. What begins before a recall ends before
   * the lease is let go of: so everybody gets on, however many mounts want the file.
   * @throws GfsError EIO for a change of a file that was overtaken; what `work` throws
   */
  run<T>(file: OpenFile, mode: GateMode, work: () => T | Promise<T>): Promise<T> {
    return this.withLease(file.ino, mode, async (record) => {
      await this.bringUpToDate(file, record);
      if (mode === 'write') requireWhole(file);
      return work();
    });
  }

  /** Like `run`, for what is not open yet. */
  async withLease<T>(ino: Ino, mode: GateMode, work: (record: InodeRecord) => Promise<T>): Promise<T> {
    return this.#atGate(ino, async (gate) => {
      for (;;) {
        const back = this.#writingBack.has(ino) ? this.#parts.client.inode(ino) : undefined;
        const record = await (back ?? this.#acquire(gate, ino, mode));
        if (record === undefined) throw new GfsError('ESTALE', `no inode ${ino}`, { context: { ino } });
        if (gate.closed(mode) !== undefined && back === undefined) continue;
        gate.enter(mode);
        try {
          return await work(record);
        } finally {
          gate.leave(mode);
        }
      }
    });
  }

  /**
   * What was written so far is in the site's store and published when it resolves (fsync).
   * @throws GfsError what the store or the coordinator could not do; EIO for a file that was overtaken
   */
  async store(file: OpenFile): Promise<void> {
    requireWhole(file);
    await this.#atGate(file.ino, (gate) =>
      gate.alone(['write'], () => this.#parts.content.checkpoint(file.ino, file.writers > 0)),
    );
    requireWhole(file);
  }

  /**
   * A record that the kernel can be told now, in this turn. One that was waited for may be older than what this mount
   * has published meanwhile: while content was staged its own size counted, now that it is clean the record's does.
   */
  newest(record: InodeRecord): Awaitable<InodeRecord> {
    return this.#isOvertaken(record) ? this.#fetchNewest(record) : record;
  }

  /** What to wait for before the kernel is told an inode's attributes. */
  settled(ino: Ino): Promise<void> | undefined {
    return this.#dropping.get(ino);
  }

  forgetEntry(parent: Ino, name: Name): Promise<void> | undefined {
    return this.#parts.kernel.entryForgotten(parent, name);
  }

  forgetInode(ino: Ino): Promise<void> | undefined {
    const { table, kernel } = this.#parts;
    if (!table.isKnown(ino)) return undefined;
    const listed = table.isListed(ino);
    table.dropListed(ino);
    return kernel.inodeForgotten(ino, listed);
  }

  async yieldRead(ino: Ino): Promise<void> {
    await nextTurn();
    await this.#atGate(ino, (gate) =>
      gate.alone(['read', 'write'], async () => {
        this.#expire(ino);
        if (this.#parts.table.isKnown(ino)) await this.#parts.kernel.inodeForgotten(ino, false);
      }),
    );
    if (this.#parts.table.files.has(ino)) this.#dropPages(ino);
  }

  async yieldWrite(ino: Ino): Promise<void> {
    await nextTurn();
    await this.#atGate(ino, (gate) =>
      gate.alone(['write'], async () => {
        await this.#writeBack(ino);
        await gate.drained(['write']);
        await this.#storeUntilDone(ino);
      }),
    );
  }

  liveAttributes(ino: Ino): LiveAttributes | undefined {
    const content = this.#parts.content.peek(ino);
    return content?.staged === true ? liveOf(content, this.#parts.clock.wallNs()) : undefined;
  }

  inUse(ino: Ino): boolean {
    return !this.#parts.table.isUnused(ino) || this.#parts.content.peek(ino)?.staged === true;
  }

  forgetAll(): void {
    this.#parts.pages.clear();
    this.#parts.table.dropListed();
    for (const { ino } of this.#parts.table.files.values()) {
      this.#expire(ino);
      this.#dropPages(ino);
    }
    this.#parts.kernel.forgetAll();
  }

  *uncommitted(): Iterable<Ino> {
    for (const ino of this.#parts.content.staged()) yield ino;
  }

  sessionLost(): void {
    const staged = [...this.uncommitted()].length;
    this.#parts.logger.warn(
      'the session was lost: what is staged is stored where nobody else has changed it',
      {
        stagedFiles: staged,
      },
    );
  }

  #isOvertaken(record: InodeRecord): boolean {
    if (!isRegular(record)) return false;
    const { client, content } = this.#parts;
    const { ino } = record;
    if (client.attributesLeased(ino) && !client.attributesLeased(ino, record)) return true;
    return content.versionOf(ino) > record.version;
  }

  async #fetchNewest(overtaken: InodeRecord): Promise<InodeRecord> {
    let record = overtaken;
    for (let attempt = 0; attempt < NEWEST_ATTEMPTS && this.#isOvertaken(record); attempt++) {
      const found = await this.#parts.client.inode(record.ino);
      if (found === undefined)
        throw new GfsError('ESTALE', `no inode ${record.ino}`, { context: { ino: record.ino } });
      record = found;
    }
    return record;
  }

  /** A file has one gate for as long as anybody uses it, also who only waits for a lease: else a recall would
   * not see who has got the lease meanwhile. */
  async #atGate<T>(ino: Ino, work: (gate: LeaseGate) => Promise<T>): Promise<T> {
    const gate = this.#gates.get(ino) ?? new LeaseGate();
    this.#gates.set(ino, gate);
    gate.users++;
    try {
      return await work(gate);
    } finally {
      gate.users--;
      if (gate.users === 0) this.#gates.delete(ino);
    }
  }

  async #acquire(gate: LeaseGate, ino: Ino, mode: GateMode): Promise<InodeRecord> {
    for (let closed = gate.closed(mode); closed !== undefined; closed = gate.closed(mode)) await closed;
    return this.#parts.client.acquire(ino, mode);
  }

  /** To be called under a lease (`withLease`). @throws GfsError as `open` of the content */
  async bringUpToDate(file: OpenFile, record: InodeRecord): Promise<void> {
    if (file.content.version >= record.version) {
      file.fresh = true;
      return;
    }
    file.refreshing ??= this.#refresh(file, record).finally(() => (file.refreshing = undefined));
    await file.refreshing;
  }

  async #refresh(file: OpenFile, record: InodeRecord): Promise<void> {
    const aside = await this.#parts.content.refresh(file.content, record);
    if (aside !== undefined && file.writers > 0) file.overtaken = aside;
    file.fresh = true;
  }

  /** Nothing of the content may be shown without asking. */
  #expire(ino: Ino): void {
    this.#parts.pages.forget(ino);
    const file = this.#parts.table.files.get(ino);
    if (file !== undefined) file.fresh = false;
  }

  #dropPages(ino: Ino): void {
    const before = this.#dropping.get(ino) ?? Promise.resolve();
    const dropping = before.then(() => this.#parts.kernel.inodeForgotten(ino, true));
    this.#dropping.set(ino, dropping);
    void dropping.then(() => {
      if (this.#dropping.get(ino) === dropping) this.#dropping.delete(ino);
    });
  }

  /** Makes the kernel hand over what memory maps of the file have changed. */
  async #writeBack(ino: Ino): Promise<void> {
    const file = this.#parts.table.files.get(ino);
    if (file === undefined || file.pagedWriters === 0 || !file.fresh) return;
    this.#writingBack.add(ino);
    const timeout = new AbortController();
    try {
      await Promise.race([
        this.#parts.kernel.inodeForgotten(ino, true),
        this.#parts.clock.sleep(WRITE_BACK_MS, timeout.signal).catch(() => undefined), // aborted below
      ]);
    } finally {
      timeout.abort();
      this.#writingBack.delete(ino);
    }
  }

  /** Others wait for it: a store that is down holds them up as it holds us up. */
  async #storeUntilDone(ino: Ino): Promise<void> {
    for (let retryMs = RETRY_FIRST_MS; ; retryMs = Math.min(RETRY_MAX_MS, retryMs * 2)) {
      try {
        await this.#parts.content.checkpoint(ino, false);
        return;
      } catch (thrown) {
        const error = toGfsError(thrown);
        this.#parts.logger.error('a file that is wanted elsewhere could not be stored yet', {
          ino,
          retryMs,
          ...errorFields(error),
        });
        await this.#parts.clock.sleep(retryMs, this.#stopping.signal);
      }
    }
  }
}

/** @throws GfsError EIO when what was written through this open could not be published */
export function requireWhole(file: OpenFile): void {
  if (file.overtaken === undefined) return;
  throw new GfsError('EIO', 'the file was changed elsewhere while this mount had lost its lease', {
    context: { ino: file.ino, keptAside: file.overtaken },
  });
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
