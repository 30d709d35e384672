import type { TimeNs } from '../../core/index.js';
import { OUT_HEADER_BYTES } from './constants.js';

const HIGH = 0x1_0000_0000;
const NS_PER_S = 1_000_000_000n;

/** `struct fuse_attr`, in the words of stat(2). */
export interface Attributes {
  readonly ino: number;
  readonly size: number;
  /** In units of 512 bytes. */
  readonly blocks: number;
  readonly atimeNs: TimeNs;
  readonly mtimeNs: TimeNs;
  readonly ctimeNs: TimeNs;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
}

/** How long the kernel may use what a reply says, without asking again. */
export interface Validity {
  readonly entrySec: number;
  readonly attrSec: number;
  readonly attrNsec: number;
}

/** `struct fuse_open_out`. */
export interface Opened {
  readonly fh: number;
  /** OR of OpenReplyFlag. */
  readonly flags: number;
  /** With PASSTHROUGH; else 0. */
  readonly backingId: number;
}

export interface FilesystemStatistics {
  readonly blocks: number;
  readonly blocksFree: number;
  readonly blocksAvailable: number;
  readonly files: number;
  readonly filesFree: number;
  readonly blockBytes: number;
  readonly nameBytesMax: number;
}

export interface FileLock {
  readonly start: number;
  /** Last byte, inclusive. */
  readonly end: number;
  /** F_RDLCK, F_WRLCK or F_UNLCK. */
  readonly type: number;
  readonly pid: number;
}

/** OFFSET_MAX of the kernel: a lock to the end of the file. */
const LOCK_END_OF_FILE = 2n ** 63n - 1n;

const BLOCK_SIZE_HINT = 4096;

/**
 * Encodes replies into one reused buffer. `begin` starts a reply, the rest appends to it; `length` is
 * then what the device writes. A reply is encoded and written in one turn, so one writer serves all.
 */
export class ReplyWriter {
  readonly bytes: Buffer;
  readonly #view: DataView;
  #at = OUT_HEADER_BYTES;

  constructor(capacity: number) {
    this.bytes = Buffer.allocUnsafe(capacity);
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
  }

  get length(): number {
    return this.#at;
  }

  /** @param error 0 or a positive errno; for notifications their code, with `unique` 0 */
  begin(unique: number, error: number): void {
    this.#view.setInt32(4, error, true);
    this.#setU64(8, unique);
    this.#at = OUT_HEADER_BYTES;
  }

  /** Fills in the length. */
  end(payloadBytes = 0): void {
    this.#view.setUint32(0, this.#at + payloadBytes, true);
  }

  u32(value: number): void {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  u16(value: number): void {
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  u64(value: number): void {
    this.#setU64(this.#at, value);
    this.#at += 8;
  }

  i64(value: bigint): void {
    this.#view.setBigInt64(this.#at, value, true);
    this.#at += 8;
  }

  zeros(count: number): void {
    this.bytes.fill(0, this.#at, this.#at + count);
    this.#at += count;
  }

  /** A string of one character per byte, without a terminator. */
  latin1(text: string): void {
    this.#at += this.bytes.write(text, this.#at, 'latin1');
  }

  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#at);
    this.#at += bytes.byteLength;
  }

  attributes(a: Attributes): void {
    const view = this.#view;
    const at = this.#at;
    this.#setU64(at, a.ino);
    this.#setU64(at + 8, a.size);
    this.#setU64(at + 16, a.blocks);
    this.#setTime(at + 24, at + 48, a.atimeNs);
    this.#setTime(at + 32, at + 52, a.mtimeNs);
    this.#setTime(at + 40, at + 56, a.ctimeNs);
    view.setUint32(at + 60, a.mode, true);
    view.setUint32(at + 64, a.nlink, true);
    view.setUint32(at + 68, a.uid, true);
    view.setUint32(at + 72, a.gid, true);
    view.setUint32(at + 76, a.rdev, true);
    view.setUint32(at + 80, BLOCK_SIZE_HINT, true);
    view.setUint32(at + 84, 0, true);
    this.#at = at + 88;
  }

  /** `struct fuse_attr_out` */
  attrOut(a: Attributes, validity: Validity): void {
    this.u64(validity.attrSec);
    this.u64(validity.attrNsec); // and 4 bytes of padding
    this.attributes(a);
  }

  /** `struct fuse_entry_out` */
  entryOut(a: Attributes, validity: Validity): void {
    this.u64(a.ino);
    this.u64(0); // generation: inode numbers are never used again
    this.u64(validity.entrySec);
    this.u64(validity.attrSec);
    this.u32(0);
    this.u32(validity.attrNsec);
    this.attributes(a);
  }

  /** The entry that says "no such name", for the kernel to remember. */
  negativeEntryOut(validity: Validity): void {
    this.u64(0);
    this.u64(0);
    this.u64(validity.entrySec);
    this.zeros(128 - 24);
  }

  openOut(opened: Opened): void {
    this.u64(opened.fh);
    this.u32(opened.flags);
    this.u32(opened.backingId);
  }

  statfsOut(s: FilesystemStatistics): void {
    for (const n of [s.blocks, s.blocksFree, s.blocksAvailable, s.files, s.filesFree]) this.u64(n);
    this.u32(s.blockBytes);
    this.u32(s.nameBytesMax);
    this.u32(s.blockBytes);
    this.zeros(28);
  }

  lockOut(lock: FileLock): void {
    this.u64(lock.start);
    this.i64(lock.end >= 2 ** 63 ? LOCK_END_OF_FILE : BigInt(lock.end));
    this.u32(lock.type);
    this.u32(lock.pid);
  }

  /**
   * One directory entry, with its attributes when `plus`; false, and nothing written, when it does not
   * fit `limit` bytes of payload.
   * @param type the type bits of the mode
   * @param plus attributes; 'none' for `.` and `..` in a READDIRPLUS reply, which carry no lookup
   */
  directoryEntry(
    entry: { ino: number; name: string; type: number; nextOffset: number },
    plus: Attributes | 'none' | undefined,
    validity: Validity,
    limit: number,
  ): boolean {
    const nameBytes = entry.name.length;
    const entryBytes = (plus === undefined ? 0 : 128) + ((24 + nameBytes + 7) & ~7);
    if (this.#at - OUT_HEADER_BYTES + entryBytes > limit) return false;
    const endAt = this.#at + entryBytes;
    if (plus === 'none') this.zeros(128);
    else if (plus !== undefined) this.entryOut(plus, validity);
    this.u64(entry.ino);
    this.u64(entry.nextOffset);
    this.u32(nameBytes);
    this.u32(entry.type >>> 12);
    this.latin1(entry.name);
    this.zeros(endAt - this.#at);
    return true;
  }

  #setTime(secAt: number, nsecAt: number, ns: TimeNs): void {
    let sec = ns / NS_PER_S;
    let nsec = Number(ns - sec * NS_PER_S);
    if (nsec < 0) {
      sec -= 1n;
      nsec += 1_000_000_000;
    }
    this.#view.setBigInt64(secAt, sec, true);
    this.#view.setUint32(nsecAt, nsec, true);
  }

  #setU64(at: number, value: number): void {
    const high = Math.floor(value / HIGH);
    this.#view.setUint32(at, value - high * HIGH, true);
    this.#view.setUint32(at + 4, high, true);
  }
}
