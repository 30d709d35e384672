import { GfsError } from './errors.js';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Inode number: a positive 53-bit integer that is never used again. The root directory is 1. */
export type Ino = Brand<number, 'Ino'>;

/** A file name: its bytes, one per character (latin1), 1 to 255 of them, without `/` and NUL. */
export type Name = Brand<string, 'Name'>;

/** BLAKE3 hash of a block's plain bytes: 64 lower-case hex digits. Written `blake3:<hex>` for people. */
export type BlockHash = Brand<string, 'BlockHash'>;

/** Nanoseconds since 1970-01-01T00:00:00Z; negative before. Must fit 64 bits, signed. */
export type TimeNs = Brand<bigint, 'TimeNs'>;

export const ROOT_INO = 1 as Ino;
export const NAME_BYTES_MAX = 255;

const TIME_NS_MAX = 2n ** 63n - 1n;

/**
 * The only way in for names.
 * @param raw the name's bytes, one per character
 * @throws GfsError ENAMETOOLONG above 255 bytes (NAME_MAX of Linux's own filesystems); EINVAL for an
 *   empty name, `.`, `..`, and names that hold `/` or NUL
 */
export function parseName(raw: string): Name {
  if (raw.length > NAME_BYTES_MAX) {
    throw new GfsError('ENAMETOOLONG', `name has ${raw.length} bytes; the most is ${NAME_BYTES_MAX}`);
  }
  if (raw === '' || raw === '.' || raw === '..' || raw.includes('/') || raw.includes('\0')) {
    throw new GfsError('EINVAL', `not a file name: ${JSON.stringify(raw)}`);
  }
  return raw as Name;
}

/** Clamps to what 64 bits hold (the years 1677 to 2262), as Linux clamps to a filesystem's range. */
export function timeNs(ns: bigint): TimeNs {
  if (ns > TIME_NS_MAX) return TIME_NS_MAX as TimeNs;
  if (ns < -TIME_NS_MAX) return -TIME_NS_MAX as TimeNs;
  return ns as TimeNs;
}
