import { type BlockHash, type Ino, type Name, parseName, type TimeNs } from '../../core/index.js';
import { decodeInode, encodeInode, type InodeRecord } from '../../namespace/index.js';
import { type ByteReader, malformed, WireType } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';

/** How one kind of value travels. */
export interface ValueType<T> {
  readonly wire: (typeof WireType)[keyof typeof WireType];
  readonly write: (out: ByteWriter, value: T) => void;
  readonly read: (input: ByteReader) => T;
  /** What proto3 does not send, and a reader takes for a field that is not there. Undefined: there is none. */
  readonly absent: T | undefined;
}

type Writer<T> = ValueType<T>['write'];
type Reader<T> = ValueType<T>['read'];

const varint = <T>(write: Writer<T>, read: Reader<T>, absent?: T): ValueType<T> => ({
  wire: WireType.varint,
  write,
  read,
  absent,
});

const delimited = <T>(write: Writer<T>, read: Reader<T>, absent?: T): ValueType<T> => ({
  wire: WireType.delimited,
  write,
  read,
  absent,
});

/** Sizes, counts, ids: integers from 0 to 2^53 - 1. */
export const uint53 = varint<number>(
  (out, value) => out.varint(value),
  (input) => input.varint(),
  0,
);

export const uint32 = varint<number>(
  (out, value) => out.varint(value),
  (input) => input.uint32(),
  0,
);

export const bool = varint<boolean>(
  (out, value) => out.varint(value ? 1 : 0),
  (input) => input.varint() !== 0,
  false,
);

export const ino = varint<Ino>(
  (out, value) => out.varint(value),
  (input) => {
    const value = input.varint();
    if (value === 0) throw malformed('inode number 0');
    return value as Ino;
  },
);

export const time: ValueType<TimeNs> = {
  wire: WireType.fixed64,
  write: (out, value) => out.fixed64(value),
  read: (input) => input.fixed64() as TimeNs,
  absent: 0n as TimeNs,
};

export const double: ValueType<number> = {
  wire: WireType.fixed64,
  write: (out, value) => out.double(value),
  read: (input) => input.double(),
  absent: 0,
};

export const text = delimited<string>(
  (out, value) => out.utf8(value),
  (input) => input.utf8(),
  '',
);

/** Bytes on the wire, a string with one byte per character in memory. */
export const byteString = delimited<string>(
  (out, value) => out.latin1(value),
  (input) => input.latin1(),
  '',
);

/** @throws what parseName throws: a peer's names are not trusted */
export const name = delimited<Name>(
  (out, value) => out.latin1(value),
  (input) => parseName(input.latin1()),
);

const NO_BYTES = new Uint8Array(0);

/** Copied on the way in: what is kept of a frame must not keep the frame. */
export const bytes = delimited<Uint8Array>(
  (out, value) => out.bytes(value),
  (input) => Uint8Array.from(input.bytes()),
  NO_BYTES,
);

const HASH_DIGITS = 64;

export const blockHash = delimited<BlockHash>(
  (out, value) => out.hex(value),
  (input) => {
    const hash = input.hex();
    if (hash.length !== HASH_DIGITS) throw malformed('a hash is not 32 bytes');
    return hash as BlockHash;
  },
);

/** `message Inode { uint64 ino = 1; bytes record = 2; }`, the record as it is in the store. */
export const inodeRecord = delimited<InodeRecord>(writeInode, readInode);

const INO_TAG = (1 << 3) | WireType.varint;
const RECORD_TAG = (2 << 3) | WireType.delimited;
let inodeLengthBytes = 1;

function writeInode(out: ByteWriter, record: InodeRecord): void {
  const start = out.open(inodeLengthBytes);
  out.varint(INO_TAG);
  out.varint(record.ino);
  out.varint(RECORD_TAG);
  out.bytes(encodeInode(record));
  inodeLengthBytes = out.close(start, inodeLengthBytes);
}

function readInode(input: ByteReader): InodeRecord {
  const outer = input.enter();
  let number: Ino | undefined;
  let record: Uint8Array | undefined;
  while (input.at < input.end) {
    const tag = input.varint();
    if (tag === INO_TAG) number = ino.read(input);
    else if (tag === RECORD_TAG) record = input.bytes();
    else input.skip(tag);
  }
  input.leave(outer);
  if (number === undefined || record === undefined) throw malformed('an inode without number or record');
  return decodeInode(number, record);
}

/**
 * A closed set of words. 0 is protobuf's "unspecified", which nobody sends.
 * @param unknown what a newer peer's word is read as; without it that is malformed
 */
export function words<T extends string>(numbers: Readonly<Record<T, number>>, unknown?: T): ValueType<T> {
  const byNumber: T[] = [];
  for (const word of Object.keys(numbers) as T[]) byNumber[numbers[word]] = word;
  return varint<T>(
    (out, value) => out.varint(numbers[value]),
    (input) => {
      const number = input.varint();
      const word = byNumber[number] ?? unknown;
      if (word === undefined) throw malformed(`${number} is none of ${Object.keys(numbers).join(', ')}`);
      return word;
    },
  );
}
