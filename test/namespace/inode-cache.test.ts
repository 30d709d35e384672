import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { type BlockHash, type Ino, timeNs } from '../../src/core/index.js';
import { decodeInode, encodeInode } from '../../src/namespace/codec.js';
import { InodeCache } from '../../src/namespace/inode-cache.js';
import {
  EMPTY_MANIFEST,
  type InodeRecord,
  type ManifestRef,
  S_IFDIR,
  S_IFLNK,
  S_IFREG,
} from '../../src/namespace/index.js';

const hashOf = (n: number): BlockHash => n.toString(16).padStart(64, '0') as BlockHash;

/** One of each kind: `n` tells them apart. */
function recordOf(ino: Ino, kind: number, n: number): InodeRecord {
  const blocks = Array.from({ length: kind === 1 ? (n % 3) * 60 : 0 }, (_, index) => ({
    index,
    hash: hashOf(n + index),
  }));
  const manifests: ManifestRef[] = [
    EMPTY_MANIFEST,
    blocks.length > 0 ? { kind: 'inline', blocks } : EMPTY_MANIFEST,
    { kind: 'object', hash: hashOf(n) },
  ];
  const type = [S_IFREG, S_IFREG, S_IFREG, S_IFDIR, S_IFLNK][kind] ?? S_IFREG;
  const isFile = type === S_IFREG;
  return {
    ...{ ino, mode: type | 0o644, uid: n, gid: 1, nlink: 1, size: n, allocatedBytes: 4096, rdev: 0 },
    ...{ atimeNs: timeNs(BigInt(n)), mtimeNs: timeNs(2n), ctimeNs: timeNs(3n), btimeNs: timeNs(-4n) },
    ...{ flags: 0, version: isFile ? n : 0, manifest: manifests[kind] ?? EMPTY_MANIFEST },
    ...{ sources: kind === 1 ? ['onprem', 'cloud'] : [], target: type === S_IFLNK ? 'ÿ'.repeat(n) : '' },
    ...{ parent: type === S_IFDIR ? 1 : 0, entries: type === S_IFDIR ? n : 0 },
  };
}

const step = fc.record({
  act: fc.constantFrom('get', 'set', 'learn', 'delete'),
  ino: fc.integer({ min: 2, max: 40 }).map((n) => n as Ino),
  kind: fc.integer({ min: 0, max: 4 }),
  n: fc.integer({ min: 1, max: 300 }),
});

describe('InodeCache', () => {
  test.each([1, 4, 16, 1000])('with room for %i, what it has of an inode is what was kept last', (bound) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const cache = new InodeCache(bound);
        const kept = new Map<Ino, InodeRecord>();
        for (const { act, ino, kind, n } of steps) {
          const record = recordOf(ino, kind, n);
          if (act === 'set') cache.set(ino, record);
          else if (act === 'learn') cache.learn(ino, record, encodeInode(record));
          else if (act === 'delete') cache.delete(ino);
          if (act === 'delete') kept.delete(ino);
          else if (act !== 'get') kept.set(ino, record);
          const found = cache.get(ino);
          if (found !== undefined && !isDeepStrictEqual(found, kept.get(ino))) {
            expect(found).toEqual(kept.get(ino));
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  test('as many as its bound are there at least by half, and no more than the bound and what is decoded', () => {
    const bound = 40_000;
    const decoded = 16_384;
    const cache = new InodeCache(bound);
    for (let i = 2; i < 200_002; i++) cache.set(i as Ino, recordOf(i as Ino, 0, i));
    let found = 0;
    for (let i = 200_001; i >= 2; i--) if (cache.get(i as Ino) !== undefined) found++;
    expect(found).toBeGreaterThanOrEqual(bound / 2);
    expect(found).toBeLessThanOrEqual(bound + decoded);
  });

  test('what was forgotten is not there', () => {
    const cache = new InodeCache(8);
    for (let i = 2; i < 20; i++) cache.set(i as Ino, recordOf(i as Ino, 0, i));
    cache.clear();
    for (let i = 2; i < 20; i++) expect(cache.get(i as Ino)).toBeUndefined();
  });

  test('a record that is encoded and decoded again is the same', () => {
    for (let kind = 0; kind < 5; kind++) {
      const record = recordOf(7 as Ino, kind, 100);
      expect(decodeInode(7 as Ino, encodeInode(record))).toEqual(record);
    }
  });
});
