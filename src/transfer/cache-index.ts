import type { BigIntStats } from 'node:fs';
import type { Clock, Ino } from '../core/index.js';
import { endOfPrefix, type KvStore, type KvWrite, TwoGenerationMap } from '../namespace/index.js';

/** What the node remembers of a clean cached file. */
export interface CachedFile {
  readonly version: number;
  readonly size: number;
  /** ctime and mtime of the cache file when it was last known to be right, in ns. */
  readonly fingerprint: Fingerprint;
  /** Bytes that evicting it would free: 0 while its block shares them. */
  readonly bytes: number;
  /** When it was last opened or closed, in minutes since 1970. */
  readonly usedMin: number;
  /** The file has a presence sidecar. */
  readonly partial: boolean;
  /** Which run of the node vouches for the fingerprint; see `CacheIndex.generation`. */
  readonly generation: number;
}

export interface Fingerprint {
  readonly ctimeNs: bigint;
  readonly mtimeNs: bigint;
}

export const fingerprintOf = (stat: BigIntStats): Fingerprint => ({
  ctimeNs: stat.ctimeNs,
  mtimeNs: stat.mtimeNs,
});

const PREFIX = 'cached/';
const GENERATION_KEY = 'generation';
const VALUE_BYTES = 49;
/** Changes kept in memory before they are committed together: 1,000 are some 200 KB. */
const PENDING_MAX = 1_000;

const keyOf = (ino: Ino): string => PREFIX + ino.toString(16).padStart(14, '0');

/** Decoded entries in memory: some 200 bytes each, twice while a generation ends. */
const RECENT_MAX = 16_384;

/**
 * The index of the clean cached files, in the node's own key-value store. Losing its newest entries in a
 * crash is fine: a file without an entry is deleted, one with an old entry is verified.
 */
export class CacheIndex {
  readonly #kv: KvStore;
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #pending = new Map<Ino, CachedFile | undefined>();
  /** What was asked for lately: an open and its close ask twice (without it, a third of their CPU time). */
  readonly #recent = new TwoGenerationMap<Ino, CachedFile>(RECENT_MAX);
  /** Bytes of all entries, that is what eviction can free. */
  totalBytes = 0;
  /** Entries of another generation were written before an unclean end: their files are to be verified. */
  generation = 0;

  constructor(kv: KvStore, clock: Clock, onError: (error: unknown) => void) {
    this.#kv = kv;
    this.#clock = clock;
    this.#onError = onError;
  }

  /** @param clean the last run ended in an orderly way, and left this total */
  async start(clean: { readonly totalBytes: number } | undefined): Promise<void> {
    const stored = this.#kv.get(GENERATION_KEY);
    this.generation = stored === undefined ? 0 : Buffer.from(stored).readUInt32LE(0);
    if (clean !== undefined && stored !== undefined) {
      this.totalBytes = clean.totalBytes;
      return;
    }
    this.generation++;
    const value = Buffer.alloc(4);
    value.writeUInt32LE(this.generation);
    await this.#kv.commit([{ key: GENERATION_KEY, value }]);
    this.totalBytes = 0;
    for await (const { file } of this.entries()) this.totalBytes += file.bytes;
  }

  get(ino: Ino): CachedFile | undefined {
    const recent = this.#recent.get(ino);
    if (recent !== undefined) return recent;
    if (this.#pending.has(ino)) return this.#pending.get(ino);
    const value = this.#kv.get(keyOf(ino));
    if (value === undefined) return undefined;
    const file = decode(value);
    this.#recent.set(ino, file);
    return file;
  }

  put(ino: Ino, file: Omit<CachedFile, 'usedMin' | 'generation'>): void {
    this.totalBytes += file.bytes - (this.get(ino)?.bytes ?? 0);
    this.#change(ino, { ...file, usedMin: this.#nowMin(), generation: this.generation });
  }

  /** Notes a use; at most one write per file and minute. */
  touch(ino: Ino): void {
    const file = this.get(ino);
    const usedMin = this.#nowMin();
    if (file !== undefined && file.usedMin !== usedMin) this.#change(ino, { ...file, usedMin });
  }

  delete(ino: Ino): void {
    const file = this.get(ino);
    if (file === undefined) return;
    this.totalBytes -= file.bytes;
    this.#change(ino, undefined);
  }

  async flush(): Promise<void> {
    if (this.#pending.size === 0) return;
    const writes: KvWrite[] = [];
    for (const [ino, file] of this.#pending) {
      writes.push({ key: keyOf(ino), value: file === undefined ? undefined : encode(file) });
    }
    this.#pending.clear(); // `commit` shows them at once
    await this.#kv.commit(writes);
  }

  /** Every entry, some while later than the call; `chunk` entries between turns of the event loop. */
  async *entries(chunk = 500): AsyncIterable<{ ino: Ino; file: CachedFile }> {
    await this.flush();
    let start = PREFIX;
    for (;;) {
      const found = this.#kv.range({ start, afterStart: true, end: endOfPrefix(PREFIX), limit: chunk });
      for (const { key, value } of found) {
        yield { ino: parseInt(key.slice(PREFIX.length), 16) as Ino, file: decode(value) };
      }
      const last = found.at(-1);
      if (last === undefined || found.length < chunk) return;
      start = last.key;
      await new Promise(setImmediate);
    }
  }

  #change(ino: Ino, file: CachedFile | undefined): void {
    if (file === undefined) this.#recent.delete(ino);
    else this.#recent.set(ino, file);
    this.#pending.set(ino, file);
    if (this.#pending.size >= PENDING_MAX) this.flush().catch(this.#onError);
  }

  #nowMin(): number {
    return Math.floor(this.#clock.wallMs() / 60_000);
  }
}

function encode(file: CachedFile): Uint8Array {
  const value = Buffer.allocUnsafe(VALUE_BYTES);
  value.writeDoubleLE(file.version, 0);
  value.writeDoubleLE(file.size, 8);
  value.writeBigInt64LE(file.fingerprint.ctimeNs, 16);
  value.writeBigInt64LE(file.fingerprint.mtimeNs, 24);
  value.writeDoubleLE(file.bytes, 32);
  value.writeUInt32LE(file.usedMin, 40);
  value.writeUInt32LE(file.generation, 44);
  value.writeUInt8(file.partial ? 1 : 0, 48);
  return value;
}

function decode(bytes: Uint8Array): CachedFile {
  const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    version: value.readDoubleLE(0),
    size: value.readDoubleLE(8),
    fingerprint: { ctimeNs: value.readBigInt64LE(16), mtimeNs: value.readBigInt64LE(24) },
    bytes: value.readDoubleLE(32),
    usedMin: value.readUInt32LE(40),
    generation: value.readUInt32LE(44),
    partial: value.readUInt8(48) === 1,
  };
}
