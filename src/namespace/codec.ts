import { GfsError, type BlockHash, type Ino, type TimeNs } from '../core/index.js';
import {
  type Dentry,
  EMPTY_MANIFEST,
  type InodeRecord,
  type ManifestBlock,
  type ManifestRef,
  NO_SOURCES,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from './records.js';

/** First byte of every record; layouts are in doc/KEYS.md. */
export const RECORD_SCHEMA = 1;

const HEAD_BYTES = 72;
const DIRECTORY_BYTES = HEAD_BYTES + 16;
const REGULAR_BYTES = HEAD_BYTES + 8;
const HASH_BYTES = 32;
const BLOCK_ENTRY_BYTES = 4 + HASH_BYTES;
const DENTRY_BYTES = 10;

const MANIFEST_INLINE = 0;
const MANIFEST_OBJECT = 1;
/** OR-ed to the kind: the names of the sources come before the manifest. */
const WITH_SOURCES = 0x80;

/** Records of the same sources share one array. Bounded by the combinations of sites that are in use. */
const knownSources = new Map<string, readonly string[]>();
const KNOWN_SOURCES_MAX = 4096;

/**
 * Records are encoded into slices of a shared chunk: a buffer of its own costs more than the encoding.
 * 64 KiB hold some 600 records; a chunk lives as long as the last of them.
 */
const CHUNK_BYTES = 64 * 1024;
let chunk = new DataView(new ArrayBuffer(0));
let chunkUsed = 0;

/** Room for `length` bytes in `chunk` at the returned offset. */
function reserve(length: number): number {
  if (chunkUsed + length > chunk.byteLength) {
    chunk = new DataView(new ArrayBuffer(Math.max(CHUNK_BYTES, length)));
    chunkUsed = 0;
  }
  const at = chunkUsed;
  chunkUsed += length;
  return at;
}

/** The value of `inode/<ino>`. */
export function encodeInode(inode: InodeRecord): Uint8Array {
  const length = inodeBytes(inode);
  const at = reserve(length);
  const view = chunk;
  view.setUint8(at, RECORD_SCHEMA);
  const kind = inode.manifest.kind === 'object' ? MANIFEST_OBJECT : MANIFEST_INLINE;
  view.setUint8(at + 1, inode.sources.length > 0 ? kind | WITH_SOURCES : kind);
  view.setUint16(at + 2, inode.mode, true);
  view.setUint32(at + 4, inode.flags, true);
  view.setUint32(at + 8, inode.uid, true);
  view.setUint32(at + 12, inode.gid, true);
  view.setUint32(at + 16, inode.nlink, true);
  view.setUint32(at + 20, inode.rdev, true);
  view.setFloat64(at + 24, inode.size, true);
  view.setFloat64(at + 32, inode.allocatedBytes, true);
  view.setBigInt64(at + 40, inode.atimeNs, true);
  view.setBigInt64(at + 48, inode.mtimeNs, true);
  view.setBigInt64(at + 56, inode.ctimeNs, true);
  view.setBigInt64(at + 64, inode.btimeNs, true);
  switch (inode.mode & S_IFMT) {
    case S_IFDIR:
      view.setFloat64(at + HEAD_BYTES, inode.parent, true);
      view.setFloat64(at + HEAD_BYTES + 8, inode.entries, true);
      break;
    case S_IFREG:
      view.setFloat64(at + HEAD_BYTES, inode.version, true);
      encodeManifest(view, encodeSources(view, at + REGULAR_BYTES, inode.sources), inode.manifest);
      break;
    case S_IFLNK:
      Buffer.from(view.buffer).write(inode.target, at + HEAD_BYTES, 'latin1');
      break;
    default:
  }
  return new Uint8Array(view.buffer, at, length);
}

function inodeBytes(inode: InodeRecord): number {
  switch (inode.mode & S_IFMT) {
    case S_IFDIR:
      return DIRECTORY_BYTES;
    case S_IFREG:
      return (
        REGULAR_BYTES +
        sourcesBytes(inode.sources) +
        (inode.manifest.kind === 'object' ? HASH_BYTES : inode.manifest.blocks.length * BLOCK_ENTRY_BYTES)
      );
    case S_IFLNK:
      return HEAD_BYTES + inode.target.length;
    default:
      return HEAD_BYTES;
  }
}

/** Count (1), then for each its length (1) and its name's bytes; nothing for none. */
function sourcesBytes(sources: readonly string[]): number {
  return sources.length === 0 ? 0 : sources.reduce((sum, name) => sum + 1 + name.length, 1);
}

/** @returns where the manifest begins */
function encodeSources(view: DataView, start: number, sources: readonly string[]): number {
  if (sources.length === 0) return start;
  const bytes = Buffer.from(view.buffer);
  let at = start;
  view.setUint8(at++, sources.length);
  for (const name of sources) {
    view.setUint8(at++, name.length);
    at += bytes.write(name, at, 'latin1');
  }
  return at;
}

function decodeSources(ino: Ino, view: DataView): { sources: readonly string[]; end: number } {
  if ((view.getUint8(1) & WITH_SOURCES) === 0) return { sources: NO_SOURCES, end: REGULAR_BYTES };
  const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  const names: string[] = [];
  let at = REGULAR_BYTES;
  for (let left = bytes[at++] ?? 0; left > 0; left--) {
    const length = bytes[at++] ?? 0;
    if (at + length > bytes.length) throw corrupt('inode', { ino });
    names.push(bytes.toString('latin1', at, at + length));
    at += length;
  }
  const key = names.join(' ');
  const known = knownSources.get(key);
  if (known !== undefined) return { sources: known, end: at };
  if (knownSources.size >= KNOWN_SOURCES_MAX) knownSources.clear();
  knownSources.set(key, names);
  return { sources: names, end: at };
}

function encodeManifest(view: DataView, start: number, manifest: ManifestRef): void {
  const bytes = Buffer.from(view.buffer);
  if (manifest.kind === 'object') {
    bytes.write(manifest.hash, start, 'hex');
    return;
  }
  let at = start;
  for (const { index, hash } of manifest.blocks) {
    view.setUint32(at, index, true);
    bytes.write(hash, at + 4, 'hex');
    at += BLOCK_ENTRY_BYTES;
  }
}

/** @throws GfsError CORRUPT */
export function decodeInode(ino: Ino, bytes: Uint8Array): InodeRecord {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEAD_BYTES || view.getUint8(0) !== RECORD_SCHEMA) throw corrupt('inode', { ino });
  const mode = view.getUint16(2, true);
  const type = mode & S_IFMT;
  const directory = type === S_IFDIR;
  const regular = type === S_IFREG;
  if (directory ? bytes.length !== DIRECTORY_BYTES : regular && bytes.length < REGULAR_BYTES) {
    throw corrupt('inode', { ino });
  }
  const { sources, end } = regular ? decodeSources(ino, view) : { sources: NO_SOURCES, end: 0 };
  return {
    ino,
    mode,
    uid: view.getUint32(8, true),
    gid: view.getUint32(12, true),
    nlink: view.getUint32(16, true),
    size: integer(view.getFloat64(24, true), ino),
    allocatedBytes: integer(view.getFloat64(32, true), ino),
    rdev: view.getUint32(20, true),
    atimeNs: view.getBigInt64(40, true) as TimeNs,
    mtimeNs: view.getBigInt64(48, true) as TimeNs,
    ctimeNs: view.getBigInt64(56, true) as TimeNs,
    btimeNs: view.getBigInt64(64, true) as TimeNs,
    flags: view.getUint32(4, true),
    version: regular ? integer(view.getFloat64(HEAD_BYTES, true), ino) : 0,
    manifest: regular ? decodeManifest(ino, view, end) : EMPTY_MANIFEST,
    sources,
    target: type === S_IFLNK ? bufferOf(bytes).toString('latin1', HEAD_BYTES) : '',
    parent: directory ? integer(view.getFloat64(HEAD_BYTES, true), ino) : 0,
    entries: directory ? integer(view.getFloat64(HEAD_BYTES + 8, true), ino) : 0,
  };
}

function decodeManifest(ino: Ino, view: DataView, start: number): ManifestRef {
  const length = view.byteLength - start;
  const kind = view.getUint8(1) & ~WITH_SOURCES;
  if (length === 0 && kind === MANIFEST_INLINE) return EMPTY_MANIFEST;
  const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  if (kind === MANIFEST_OBJECT) {
    if (length !== HASH_BYTES) throw corrupt('inode', { ino });
    return { kind: 'object', hash: bytes.toString('hex', start) as BlockHash };
  }
  if (kind !== MANIFEST_INLINE || length % BLOCK_ENTRY_BYTES !== 0) throw corrupt('inode', { ino });
  // Of its length at once: an array that grows has room for 16 more.
  const blocks = new Array<ManifestBlock>(length / BLOCK_ENTRY_BYTES);
  for (let i = 0, at = start; i < blocks.length; i++, at += BLOCK_ENTRY_BYTES) {
    const hash = bytes.toString('hex', at + 4, at + BLOCK_ENTRY_BYTES) as BlockHash;
    blocks[i] = { index: view.getUint32(at, true), hash };
  }
  return { kind: 'inline', blocks };
}

/** The value of `dentry/<parent>/<name>`. */
export function encodeDentry(dentry: Dentry): Uint8Array {
  const at = reserve(DENTRY_BYTES);
  chunk.setUint8(at, RECORD_SCHEMA);
  chunk.setUint8(at + 1, dentry.type >> 12);
  chunk.setFloat64(at + 2, dentry.ino, true);
  return new Uint8Array(chunk.buffer, at, DENTRY_BYTES);
}

/** @throws GfsError CORRUPT */
export function decodeDentry(bytes: Uint8Array): Dentry {
  if (bytes.length !== DENTRY_BYTES || bytes[0] !== RECORD_SCHEMA) throw corrupt('dentry', {});
  const ino = bufferOf(bytes).readDoubleLE(2);
  if (!Number.isSafeInteger(ino) || ino < 1) throw corrupt('dentry', { ino });
  return { ino: ino as Ino, type: (bytes[1] ?? 0) << 12 };
}

/** The value of the counters in `meta/`: a decimal number. */
export const encodeCounter = (count: number): Uint8Array => Buffer.from(String(count), 'latin1');

/** @throws GfsError CORRUPT */
export function decodeCounter(bytes: Uint8Array): number {
  const count = Number(bufferOf(bytes).toString('latin1'));
  if (!Number.isSafeInteger(count) || count < 0) throw corrupt('counter', { count });
  return count;
}

/** The value of `orphan/<ino>`: that it is there says all. */
export const ORPHAN_VALUE = Uint8Array.of(RECORD_SCHEMA);

function integer(value: number, ino: Ino): number {
  if (!Number.isSafeInteger(value) || value < 0) throw corrupt('inode', { ino });
  return value;
}

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const corrupt = (what: string, context: Record<string, unknown>): GfsError =>
  new GfsError('CORRUPT', `a stored ${what} record cannot be decoded`, { context });
