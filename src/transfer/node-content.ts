import * as fs from 'node:fs';
import { dirname } from 'node:path';
import {
  type BlockHash,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  GfsError,
  type Ino,
  invariant,
  native,
  SEEK_DATA,
  SEEK_HOLE,
  type TimeNs,
  toGfsError,
} from '../core/index.js';
import { BLOCK_BYTES, type ManifestRef } from '../namespace/index.js';
import type { BlockFetcher } from './block-fetcher.js';
import type { CacheLayout } from './cache-layout.js';
import type { ContentStat, OpenContent } from './content.js';
import { contentStatOf, fdatasync, fsync, lseekOr, split, statOf, syncDirectory } from './file-calls.js';
import type { Manifest } from './manifest.js';
import type { PresenceMap } from './presence.js';
import type { SealRun } from './seal-run.js';

/** Blocks ahead of a sequential reader: 32 MiB, what 1 Gbit/s brings in 250 ms (a few WAN round trips). */
const READ_AHEAD_BLOCKS_MAX = 8;
/** `ensure` starts this many fetches at once; longer ranges go in steps. */
const ENSURE_STEP_BLOCKS = 16;

/** The version that a content's unchanged blocks belong to. */
export interface ContentBase {
  readonly version: number;
  readonly manifest: ManifestRef;
  readonly size: number;
  readonly allocatedBytes: number | undefined;
  /** As `InodeRecord.sources`. */
  readonly sources: readonly string[];
}

/** What a content needs of the cache that it is in. */
export interface ContentHost {
  readonly layout: CacheLayout;
  readonly fetcher: BlockFetcher;
  /** Waits while more is staged than the bound. */
  roomToWrite(): Promise<void> | undefined;
  /** Makes clean, open content staged: it is about to be changed. */
  stage(content: NodeContent): Promise<void>;
  /** Something that the content waited for before it could be put away has ended. */
  settle(content: NodeContent): void;
}

/** One inode's content on this node, while it is open or staged. The cache keeps the fields below `host`. */
export class NodeContent implements OpenContent {
  readonly ino: Ino;
  readonly host: ContentHost;
  /** -1 while nobody has it open. */
  fd = -1;
  staged = false;
  base: ContentBase;
  /** The base's manifest, once it was needed. */
  manifest: Manifest | undefined;
  /** Undefined: every block is present. */
  presence: PresenceMap | undefined;
  /** Absent blocks may be in the file nevertheless, unverified. */
  recheck = false;
  readers = 0;
  writers = 0;
  /** Preparing an open; others wait. */
  busy: Promise<void> | undefined;
  seal: SealRun | undefined;
  /** When its seal may begin, by the monotonic clock. */
  sealAtMs = 0;
  /** The block that was made of the staged file by a hard link, in this run of the node. */
  linkedTo: BlockHash | undefined;
  /** What the file occupied when it was last closed. */
  stagedBytes = 0;
  /** The file changed so that the index must learn of it. */
  unindexed = false;
  discarded = false;
  /** It is becoming staged. */
  staging: Promise<void> | undefined;
  /**
   * Found after a crash, and the inode has another version than the one it was to replace. It may be that
   * very version; if it is not, it cannot be published.
   */
  suspect = false;
  /** mtime of the file when it was sealed while readers had it open; see FileSealer. */
  sealedMtimeNs: bigint | undefined;
  readonly inFlight = new Map<number, Promise<void>>();
  #directorySynced = false;
  #lastBlock = -1;
  #window = 0;

  constructor(ino: Ino, host: ContentHost, base: ContentBase) {
    this.ino = ino;
    this.host = host;
    this.base = base;
  }

  get version(): number {
    return this.base.version;
  }

  get whole(): boolean {
    return this.presence === undefined;
  }

  get isOpen(): boolean {
    return this.readers + this.writers > 0;
  }

  get path(): string {
    return this.staged ? this.host.layout.staging(this.ino) : this.host.layout.cache(this.ino);
  }

  stat(): ContentStat {
    return this.fd >= 0 ? statOf(this.fd) : contentStatOf(fs.statSync(this.path, { bigint: true }));
  }

  ensure(offset: number, length: number): Promise<void> | undefined {
    if (this.presence === undefined || length <= 0) return undefined;
    const first = Math.floor(offset / BLOCK_BYTES);
    const last = Math.floor((offset + length - 1) / BLOCK_BYTES);
    const absent = this.presence.nextAbsent(first, last + 1);
    const waiting = absent > last ? undefined : this.#fetchRange(absent, last);
    this.#readAhead(first, last);
    return waiting;
  }

  ensureForWrite(offset: number, length: number): Promise<void> | undefined {
    if (!this.staged) return this.#staged(() => this.ensureForWrite(offset, length));
    const room = this.host.roomToWrite();
    if (this.presence === undefined || length <= 0) return room;
    const absent = this.#absentUnder(offset, offset + length);
    if (absent.length === 0) return room;
    return this.#fetchForWrite(absent, offset, length, room);
  }

  truncate(size: number): Promise<void> | undefined {
    if (!this.staged) return this.#staged(() => this.truncate(size));
    if (this.presence !== undefined) return this.#truncatePartial(size);
    this.#ftruncate(size);
    return undefined;
  }

  async fallocate(mode: number, offset: number, length: number): Promise<void> {
    if (!this.staged) await this.host.stage(this);
    const known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
    if ((mode & ~known) !== 0) throw new GfsError('EOPNOTSUPP', `fallocate mode ${mode} is not supported`);
    const zeroes = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) !== 0;
    const end = offset + length;
    await this.#settleBlocks(() => {
      const absent = this.#absentUnder(offset, end);
      return zeroes ? absent.filter((index) => !this.#covers(index, offset, end)) : this.#tailIfPast(end);
    });
    try {
      native.fallocate(this.fd, mode, offset, length);
    } catch (thrown) {
      throw toGfsError(thrown);
    }
    if (!zeroes) return;
    for (const index of this.#absentUnder(offset, end)) {
      if (this.#covers(index, offset, end)) this.blockArrived(index);
    }
  }

  seek(offset: number, whence: number): number {
    try {
      return this.presence === undefined
        ? native.lseek(this.fd, offset, whence)
        : this.#seekPartial(this.presence, offset, whence);
    } catch (thrown) {
      throw toGfsError(thrown);
    }
  }

  setTimes(atimeNs: TimeNs, mtimeNs: TimeNs): void {
    invariant(this.staged, 'only staged content has times of its own', { ino: this.ino });
    const [atimeSec, atimeNsec] = split(atimeNs);
    const [mtimeSec, mtimeNsec] = split(mtimeNs);
    this.#withFd((fd) => native.futimens(fd, atimeSec, atimeNsec, mtimeSec, mtimeNsec));
  }

  /** What is clean is in the store, durably: there is nothing to do then. */
  async sync(dataOnly: boolean): Promise<void> {
    if (!this.staged) return;
    // A descriptor of its own: the content may be closed and sealed meanwhile.
    const fd = this.#withFd(() => fs.openSync(this.path, 'r'));
    try {
      await (dataOnly ? fdatasync(fd) : fsync(fd));
    } finally {
      fs.closeSync(fd);
    }
    await this.presence?.sync();
    if (this.#directorySynced) return;
    await syncDirectory(dirname(this.host.layout.staging(this.ino)));
    if (this.presence !== undefined) await syncDirectory(dirname(this.host.layout.presence(this.ino)));
    this.#directorySynced = true;
  }

  /** The file moved to another directory. */
  moved(staged: boolean): void {
    this.staged = staged;
    this.#directorySynced = false;
    this.sealedMtimeNs = undefined;
  }

  blockArrived(index: number): void {
    this.presence?.set(index);
    if (!this.staged) this.unindexed = true;
    if (this.presence?.complete !== true) return;
    this.presence.remove();
    this.presence = undefined;
    this.recheck = false;
  }

  fetchEnded(): void {
    if (this.inFlight.size === 0 && !this.isOpen) this.host.settle(this);
  }

  /** Content that is staged by its first change, not by its open: see NodeContentCacheOptions.shared. */
  async #staged(change: () => Promise<void> | undefined): Promise<void> {
    await this.host.stage(this);
    await change();
  }

  async #fetchRange(first: number, last: number): Promise<void> {
    for (let from = first; from <= last && this.presence !== undefined; from += ENSURE_STEP_BLOCKS) {
      const waiting: Promise<void>[] = [];
      for (let index = from; index <= Math.min(last, from + ENSURE_STEP_BLOCKS - 1); index++) {
        if (!this.presence.has(index)) waiting.push(this.host.fetcher.fetch(this, index));
      }
      await allOf(waiting);
    }
  }

  #readAhead(first: number, last: number): void {
    if (last === this.#lastBlock || this.presence === undefined) return;
    const sequential = first === this.#lastBlock || first === this.#lastBlock + 1;
    this.#window = sequential ? Math.min(READ_AHEAD_BLOCKS_MAX, Math.max(1, this.#window * 2)) : 0;
    this.#lastBlock = last;
    const end = Math.min(last + this.#window, Math.ceil(this.base.size / BLOCK_BYTES) - 1);
    for (let index = last + 1; index <= end; index++) {
      // A failure is told to whoever then asks for that block.
      if (!this.presence.has(index)) this.host.fetcher.fetch(this, index).catch(() => undefined);
    }
  }

  async #fetchForWrite(
    absent: number[],
    offset: number,
    length: number,
    room: Promise<void> | undefined,
  ): Promise<void> {
    await room;
    for (const index of absent) {
      if (this.presence === undefined || this.presence.has(index)) continue;
      try {
        // Also what is overwritten wholly: a write that then fails must leave the old bytes.
        await this.host.fetcher.fetch(this, index);
      } catch (thrown) {
        // Overwriting is how a user replaces what is lost.
        if (!this.#covers(index, offset, offset + length)) throw thrown;
        this.blockArrived(index);
      }
    }
  }

  async #truncatePartial(size: number): Promise<void> {
    await this.#settleBlocks(() => {
      const boundary = Math.floor(size / BLOCK_BYTES);
      if (size % BLOCK_BYTES === 0 || this.presence?.has(boundary) !== false) return this.#tailIfPast(size);
      return [boundary];
    });
    // The file first: a crash between the two leaves bits for blocks that the file does not reach.
    this.#ftruncate(size);
    this.presence?.setFrom(Math.ceil(size / BLOCK_BYTES));
    if (this.presence?.complete === true) this.blockArrived(0);
  }

  /** Waits until no fetch runs (a late one would write behind our back) and what `needed` says is present. */
  async #settleBlocks(needed: () => number[]): Promise<void> {
    for (;;) {
      const waiting = [...this.inFlight.values()];
      if (waiting.length > 0) {
        await Promise.allSettled(waiting);
        continue;
      }
      const absent = this.presence === undefined ? [] : needed();
      if (absent.length === 0) return;
      await allOf(absent.map((index) => this.host.fetcher.fetch(this, index)));
    }
  }

  /** Absent blocks that a change of `[start, end)` touches, the version's short last one included if it grows. */
  #absentUnder(start: number, end: number): number[] {
    const absent: number[] = [];
    if (this.presence === undefined) return absent;
    const stop = Math.ceil(end / BLOCK_BYTES);
    for (
      let index = this.presence.nextAbsent(Math.floor(start / BLOCK_BYTES), stop);
      index < stop;
      index = this.presence.nextAbsent(index + 1, stop)
    ) {
      absent.push(index);
    }
    for (const tail of this.#tailIfPast(end)) if (!absent.includes(tail)) absent.push(tail);
    return absent;
  }

  /** The last block of the version, if it is short and absent and the file is to reach past it. */
  #tailIfPast(end: number): number[] {
    if (end <= this.base.size || this.base.size % BLOCK_BYTES === 0) return [];
    const tail = Math.floor(this.base.size / BLOCK_BYTES);
    return this.presence?.has(tail) === false ? [tail] : [];
  }

  #covers(index: number, start: number, end: number): boolean {
    return start <= index * BLOCK_BYTES && end >= Math.min((index + 1) * BLOCK_BYTES, this.base.size);
  }

  /** Absent blocks are data, wherever the sparse file has holes for them. */
  #seekPartial(presence: PresenceMap, offset: number, whence: number): number {
    const size = fs.fstatSync(this.fd).size;
    const blocks = Math.ceil(size / BLOCK_BYTES);
    if (offset < 0 || offset >= size) throw new GfsError('ENXIO', `no data at ${offset}: the end is ${size}`);
    for (let at = offset; at < size;) {
      const index = Math.floor(at / BLOCK_BYTES);
      const absent = presence.nextAbsent(index, blocks);
      if (absent === index) {
        if (whence === SEEK_DATA) return at;
        at = (index + 1) * BLOCK_BYTES;
        continue;
      }
      const end = Math.min(absent * BLOCK_BYTES, size);
      const found = lseekOr(this.fd, at, whence, end);
      if (found < end) return found;
      at = end;
    }
    if (whence === SEEK_HOLE) return size;
    throw new GfsError('ENXIO', `no data at or after ${offset}`);
  }

  #ftruncate(size: number): void {
    try {
      fs.ftruncateSync(this.fd, size);
    } catch (thrown) {
      throw toGfsError(thrown);
    }
  }

  #withFd<T>(work: (fd: number) => T): T {
    const fd = this.fd >= 0 ? this.fd : fs.openSync(this.path, 'r+');
    try {
      return work(fd);
    } finally {
      if (this.fd < 0) fs.closeSync(fd);
    }
  }
}

/** Like Promise.all, but when one fails the others have ended too. */
async function allOf(waiting: Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(waiting);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
