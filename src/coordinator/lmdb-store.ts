import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { constants as osConstants } from 'node:os';
import { join } from 'node:path';
import { type RootDatabase, open } from 'lmdb';
import { type Clock, GfsError, native, systemClock, toGfsError } from '../core/index.js';
import type { KvEntry, KvKey, KvRange, KvStore, KvWrite } from '../namespace/index.js';
import { DiskReserve } from './disk-reserve.js';
import { DELETED, type Pending, PendingGroup } from './pending-group.js';

/** Address space for the map, not memory nor disk: 1 TiB, some 2 billion files. */
const MAP_BYTES = 2 ** 40;

const LMDB_FILES = ['data.mdb', 'lock.mdb'];

/** A group is written when it is this old ... */
const GROUP_MS = 50;
/** ... or has this many writes: to hand them over takes the event loop some 10 ms (2 to 3 µs each). */
const GROUP_WRITES_MAX = 4096;
/** More than this many waiting writes, and callers should wait: 40 ms of event loop, some 10 MB. */
const BACKLOG_WRITES_MAX = 4 * GROUP_WRITES_MAX;
/**
 * On a slow disk groups wait longer, so that commits keep it busy a tenth of the time, unless somebody
 * syncs; but never longer than this, which is what a killed process can lose.
 */
const COMMIT_DUTY = 10;
const GROUP_MS_MAX = 1000;

export interface LmdbStoreOptions {
  /** A directory of its own; made if need be. */
  readonly path: string;
  readonly groupMs?: number;
  readonly clock?: Clock;
  /** False for a copy of what is elsewhere: nothing is synced, and each open begins with an empty store. */
  readonly durable?: boolean;
}

/**
 * KvStore on LMDB: an ordered, memory-mapped B+ tree, copy-on-write, one writer.
 *
 * Durability. Each group is one LMDB transaction in LMDB's own default mode: its pages are written to
 * free space, fdatasync, then its root to one of two meta pages with O_DSYNC. So after a kill or a power cut
 * the store is at the last whole group. The faster modes were refused: `noSync` reuses pages that the last
 * root on the platter may still need, a power cut can destroy the tree; `overlappingSync` (lmdb-js's own)
 * is safe, but syncs after each transaction all the same (mdb.c, mdb_txn_commit), so it would save no fsync,
 * only show the writes earlier, which the overlay of pending groups does here. Fsyncs are saved by grouping:
 * however many callers `sync` at once, they share one group.
 */
export class LmdbStore implements KvStore {
  readonly #db: RootDatabase<Uint8Array, string>;
  readonly #reserve: DiskReserve;
  readonly #lockFd: number;
  readonly #clock: Clock;
  readonly #groupMs: number;
  readonly #path: string;
  #filling = new PendingGroup();
  #committing: PendingGroup | undefined;
  #timer: NodeJS.Timeout | undefined;
  #commitMs = 0;
  #closed = false;

  /** @throws GfsError EBUSY when another process has the store open; ENOSPC; EIO */
  static open(options: LmdbStoreOptions): LmdbStore {
    return new LmdbStore(options);
  }

  private constructor(options: LmdbStoreOptions) {
    const { path, groupMs = GROUP_MS, clock = systemClock, durable = true } = options;
    this.#clock = clock;
    this.#groupMs = groupMs;
    this.#path = path;
    mkdirSync(path, { recursive: true });
    this.#lockFd = openSync(join(path, 'owner.lock'), 'w');
    if (!native.tryLock(this.#lockFd)) {
      closeSync(this.#lockFd);
      throw new GfsError('EBUSY', `another process has the metadata store open: ${path}`);
    }
    try {
      // After a crash it may be damaged.
      if (!durable) for (const file of LMDB_FILES) rmSync(join(path, file), { force: true });
      this.#db = open<Uint8Array, string>(path, {
        encoding: 'binary',
        keyEncoder: latin1Keys,
        mapSize: MAP_BYTES,
        overlappingSync: false,
        noSync: !durable,
        // Else lmdb-js makes a promise of its own that nobody can handle when a large group fails.
        eventTurnBatching: false,
      });
      this.#reserve = new DiskReserve(join(path, 'data.mdb'), clock);
    } catch (thrown) {
      closeSync(this.#lockFd);
      const { message } = toGfsError(thrown);
      throw new GfsError('EIO', `cannot open the metadata store ${path}: ${message}`, { cause: thrown });
    }
  }

  get(key: KvKey): Uint8Array | undefined {
    const pending = this.#pending(key);
    if (pending !== undefined) return pending === DELETED ? undefined : pending;
    return this.#db.getBinary(key);
  }

  range(range: KvRange): KvEntry[] {
    const limit = range.limit ?? Infinity;
    const entries: KvEntry[] = [];
    if (limit <= 0 || range.start >= range.end) return entries;
    const overlay = this.#pendingEntries(range);
    let next = overlay.next();
    for (const entry of this.#stored(range, limit)) {
      for (; next.done !== true && next.value.key < entry.key; next = overlay.next()) {
        if (next.value.value !== undefined) entries.push(next.value as KvEntry);
        if (entries.length >= limit) return entries;
      }
      if (next.done !== true && next.value.key === entry.key) {
        if (next.value.value !== undefined) entries.push(next.value as KvEntry);
        next = overlay.next();
      } else {
        entries.push(entry);
      }
      if (entries.length >= limit) return entries;
    }
    for (; next.done !== true && entries.length < limit; next = overlay.next()) {
      if (next.value.value !== undefined) entries.push(next.value as KvEntry);
    }
    return entries;
  }

  commit(writes: readonly KvWrite[]): Promise<void> {
    if (this.#closed) return Promise.reject(new GfsError('EIO', 'the metadata store is closed'));
    const group = this.#filling;
    group.add(writes);
    if (group.size >= GROUP_WRITES_MAX) this.#start();
    else this.#schedule();
    return group.done;
  }

  /** Every group is synced when it is committed: what is pending now is one group, the next one. */
  sync(): Promise<void> {
    if (this.#filling.size === 0) return this.#committing?.done ?? Promise.resolve();
    const group = this.#filling;
    group.urgent = true;
    this.#start();
    return group.done;
  }

  hasRoom(): boolean {
    return this.#reserve.hasRoom();
  }

  congestion(): Promise<void> | undefined {
    return this.#filling.size > BACKLOG_WRITES_MAX ? this.#committing?.done : undefined;
  }

  pendingCommit(key: KvKey): Promise<void> | undefined {
    if (this.#filling.has(key)) return this.#filling.done;
    return this.#committing?.has(key) === true ? this.#committing.done : undefined;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const synced = this.sync();
    this.#closed = true;
    try {
      await synced;
    } finally {
      clearTimeout(this.#timer);
      await this.#db.close();
      this.#reserve.close();
      closeSync(this.#lockFd);
    }
  }

  /** Starts the filling group when its time has come; not before the one that is being committed is done. */
  #schedule(): void {
    if (this.#timer !== undefined || this.#committing !== undefined) return;
    const delayMs = Math.min(Math.max(this.#groupMs, this.#commitMs * (COMMIT_DUTY - 1)), GROUP_MS_MAX);
    this.#timer = setTimeout(() => this.#start(), delayMs);
  }

  #start(): void {
    if (this.#committing !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const group = this.#filling;
    this.#committing = group;
    this.#filling = new PendingGroup();
    const startMs = this.#clock.monotonicMs();
    this.#write(group).then(
      () => {
        this.#commitMs = this.#clock.monotonicMs() - startMs;
        this.#committed(group);
      },
      (error: GfsError) => this.#failed(group, error),
    );
  }

  /** One LMDB transaction; its pages are written and synced in the thread pool. @throws GfsError ENOSPC, EIO */
  async #write(group: PendingGroup): Promise<void> {
    try {
      await this.#db.batch(() => {
        for (const [key, value] of group.entries()) {
          if (value === DELETED) void this.#db.remove(key);
          else void this.#db.put(key, value);
        }
      });
    } catch (thrown) {
      throw await commitErrorOf(thrown, this.#path);
    }
    this.#reserve.topUp();
  }

  #committed(group: PendingGroup): void {
    this.#committing = undefined;
    group.resolve();
    this.#goOn();
  }

  /** Nothing of the group is stored; what came after it was decided on top of it, and goes too. */
  #failed(group: PendingGroup, error: GfsError): void {
    const later = this.#filling;
    this.#committing = undefined;
    this.#filling = new PendingGroup();
    group.reject(error);
    if (later.size > 0) later.reject(error);
  }

  #goOn(): void {
    const { size, urgent } = this.#filling;
    if (urgent || size >= GROUP_WRITES_MAX) this.#start();
    else if (size > 0) this.#schedule();
  }

  #pending(key: KvKey): Pending | undefined {
    return this.#filling.get(key) ?? this.#committing?.get(key);
  }

  /** The overlay's part of a range, deletions included, in order. */
  *#pendingEntries(range: KvRange): Generator<{ key: KvKey; value: Uint8Array | undefined }> {
    const older = this.#committing?.keys(range) ?? [];
    for (const key of mergeKeys(this.#filling.keys(range), older)) {
      const value = this.#pending(key);
      yield { key, value: value === DELETED ? undefined : value };
    }
  }

  #stored({ start, afterStart, end }: KvRange, limit: number): Iterable<KvEntry> {
    const overlaid = this.#filling.size + (this.#committing?.size ?? 0);
    // As many more as the overlay can take away.
    const bound = limit === Infinity ? {} : { limit: limit + overlaid };
    return this.#db.getRange({ start, end, exclusiveStart: afterStart === true, ...bound });
  }
}

/** Two ascending sequences as one, without duplicates. */
function* mergeKeys(a: Iterable<KvKey>, b: Iterable<KvKey>): Generator<KvKey> {
  const left = a[Symbol.iterator]();
  const right = b[Symbol.iterator]();
  let l = left.next();
  let r = right.next();
  while (l.done !== true || r.done !== true) {
    if (r.done === true || (l.done !== true && l.value < r.value)) {
      yield l.value as KvKey;
      l = left.next();
    } else {
      if (l.done !== true && l.value === r.value) l = left.next();
      yield r.value;
      r = right.next();
    }
  }
}

/** Keys as they are in the port: one byte per character. LMDB compares them as bytes. */
const latin1Keys = {
  writeKey: (key: string, target: Buffer, start: number): number =>
    start + target.write(key, start, 'latin1'),
  readKey: (source: Buffer, start: number, end: number): string =>
    Buffer.from(source.buffer, source.byteOffset + start, end - start).toString('latin1'),
};

/** LMDB's own code for a full map; positive codes are errno numbers. */
const MDB_MAP_FULL = -30792;
/** With less than this free, a write that failed is taken to have failed for lack of space. */
const FULL_BELOW_BYTES = 1024 * 1024;

/**
 * lmdb-js rejects with "Commit failed" and carries the cause, whose `code` is LMDB's, in a promise. LMDB
 * reports a short write, which is how a disk becomes full, as EIO (mdb_page_flush).
 */
async function commitErrorOf(thrown: unknown, path: string): Promise<GfsError> {
  const { commitError } = thrown as { commitError?: Promise<never> };
  let cause = thrown;
  try {
    await commitError;
  } catch (inner) {
    cause = inner;
  }
  const { code } = cause as { code?: number };
  const full =
    code === MDB_MAP_FULL || code === osConstants.errno.ENOSPC || (await freeBytes(path)) < FULL_BELOW_BYTES;
  if (full) return new GfsError('ENOSPC', 'the disk of the metadata store is full', { cause });
  return new GfsError('EIO', `the metadata store cannot be written: ${toGfsError(cause).message}`, { cause });
}

async function freeBytes(path: string): Promise<number> {
  const disk = await statfs(path);
  return disk.bavail * disk.bsize;
}
