import * as fs from 'node:fs';
import { native, timeNs, toGfsError } from '../core/index.js';
import type { ContentStat } from './content.js';

const NANOS = 1_000_000_000n;

/** Reused: `native.fstat` fills it, and it is read in the same turn. */
const statFields = new Float64Array(7);

export function statOf(fd: number): ContentStat {
  native.fstat(fd, statFields);
  const field = (index: number): number => statFields[index] ?? 0;
  return {
    size: field(0),
    allocatedBytes: field(1) * 512,
    atimeNs: timeNs(BigInt(field(2)) * NANOS + BigInt(field(3))),
    mtimeNs: timeNs(BigInt(field(4)) * NANOS + BigInt(field(5))),
  };
}

export function contentStatOf(stat: fs.BigIntStats): ContentStat {
  return {
    size: Number(stat.size),
    allocatedBytes: Number(stat.blocks) * 512,
    atimeNs: timeNs(stat.atimeNs),
    mtimeNs: timeNs(stat.mtimeNs),
  };
}

/** lseek(2); `none` where there is no data or hole any more. */
export function lseekOr(fd: number, offset: number, whence: number, none: number): number {
  try {
    return native.lseek(fd, offset, whence);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENXIO') return none;
    throw thrown;
  }
}

/** Seconds and nanoseconds as `timespec` has them: nanoseconds count up, also before 1970. */
export function split(ns: bigint): [number, number] {
  const nanos = ((ns % NANOS) + NANOS) % NANOS;
  return [Number((ns - nanos) / NANOS), Number(nanos)];
}

export function fdatasync(fd: number): Promise<void> {
  return new Promise((resolve, reject) =>
    fs.fdatasync(fd, (error) => (error === null ? resolve() : reject(toGfsError(error)))),
  );
}

export function fsync(fd: number): Promise<void> {
  return new Promise((resolve, reject) =>
    fs.fsync(fd, (error) => (error === null ? resolve() : reject(toGfsError(error)))),
  );
}

export async function syncDirectory(path: string): Promise<void> {
  const fd = fs.openSync(path, 'r');
  try {
    await fsync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
