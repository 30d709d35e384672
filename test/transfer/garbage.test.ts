import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as fs from 'node:fs';
import { type Clock, type Ino, systemClock } from '../../src/core/index.js';
import { BLOCK_BYTES, type ManifestRef } from '../../src/namespace/index.js';
import { type BlockDamage, collectGarbage, GARBAGE_GRACE_MS, scrub } from '../../src/transfer/index.js';
import { hashesOf, pattern, Rig } from './rig.js';

const laterBy = (ms: number): Clock => ({ ...systemClock, wallMs: () => Date.now() + ms });
const afterGrace = laterBy(GARBAGE_GRACE_MS + 1000);

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make();
});
afterEach(async () => rig.end());

const manifests = (): ManifestRef[] => [...rig.inodes.records.values()].map(({ manifest }) => manifest);

describe('garbage', () => {
  test('what no inode refers to goes after the grace period; all else stays', async () => {
    const kept = await rig.sealed(1, pattern(10 * BLOCK_BYTES));
    const old = await rig.sealed(2, pattern(5000, 2));
    await rig.write(2, Buffer.from('newer'), 0);
    await rig.cache.flushAll();
    const blocks = rig.blocks;
    const young = await collectGarbage({ blocks, manifests: manifests(), clock: systemClock, delete: true });
    expect(young).toMatchObject({ garbageObjects: 0, heldObjects: 1, deletedObjects: 0, objects: 13 });
    const counted = await collectGarbage({
      blocks,
      manifests: manifests(),
      clock: afterGrace,
      delete: false,
    });
    expect(counted).toMatchObject({ garbageObjects: 1, garbageBytes: 5000, deletedObjects: 0 });
    const deleted = await collectGarbage({ blocks, manifests: manifests(), clock: afterGrace, delete: true });
    expect(deleted).toMatchObject({ garbageObjects: 1, deletedObjects: 1, deletedBytes: 5000 });
    expect(fs.existsSync(rig.objectPath(hashesOf(old)[0]))).toBe(false);
    await rig.evict(1);
    expect(kept.manifest.kind).toBe('object');
    expect(Buffer.compare(await rig.read(1), pattern(10 * BLOCK_BYTES))).toBe(0);
    rig.inodes.records.delete(1);
    const rest = await collectGarbage({ blocks, manifests: manifests(), clock: afterGrace, delete: true });
    expect(rest).toMatchObject({ deletedObjects: 11 });
  });

  test('a block that a seal uses while the collection runs is not deleted', async () => {
    const bytes = pattern(5000, 3);
    const inode = await rig.sealed(3, bytes);
    rig.inodes.records.delete(3);
    await rig.cache.discard(3 as Ino);
    const blocks = rig.blocks;
    // The inodes have been read; now the same content is sealed again, and finds its block there.
    async function* whileSealing(): AsyncIterable<ManifestRef> {
      yield* manifests();
      await rig.sealed(4, bytes);
    }
    const report = await collectGarbage({
      blocks,
      manifests: whileSealing(),
      clock: afterGrace,
      delete: true,
    });
    expect(report).toMatchObject({ deletedObjects: 0, heldObjects: 1 });
    expect(hashesOf(rig.inodes.get(4))).toEqual(hashesOf(inode));
    await rig.evict(4);
    expect(Buffer.compare(await rig.read(4), bytes)).toBe(0);
  });

  test('nothing is deleted when a manifest cannot be read', async () => {
    const inode = await rig.sealed(5, pattern(9 * BLOCK_BYTES));
    if (inode.manifest.kind !== 'object') throw new Error('9 blocks are to be an object');
    await rig.store.delete(
      `manifests/${inode.manifest.hash.slice(0, 2)}/${inode.manifest.hash.slice(2, 4)}/${inode.manifest.hash}`,
    );
    const blocks = rig.blocks;
    await expect(
      collectGarbage({ blocks, manifests: manifests(), clock: afterGrace, delete: true }),
    ).rejects.toMatchObject({ code: 'CORRUPT' });
  });
});

describe('scrub', () => {
  const damages = async (deep: boolean): Promise<BlockDamage[]> => {
    const found: BlockDamage[] = [];
    for await (const damage of scrub(rig.blocks, rig.inodes.records.values(), { deep })) found.push(damage);
    return found;
  };

  test('names every missing and, when deep, every corrupt block, in each file that has it', async () => {
    const first = await rig.sealed(10, pattern(2 * BLOCK_BYTES));
    await rig.sealed(11, pattern(2 * BLOCK_BYTES));
    await rig.sealed(12, pattern(100, 5));
    expect(await damages(true)).toEqual([]);
    const [one = '', two = ''] = hashesOf(first);
    fs.writeFileSync(rig.objectPath(one), pattern(BLOCK_BYTES, 99));
    fs.unlinkSync(rig.objectPath(two));
    const missing = { offset: BLOCK_BYTES, hash: two, what: 'block', problem: 'missing' };
    const corrupt = { offset: 0, hash: one, what: 'block', problem: 'corrupt' };
    expect(await damages(false)).toEqual([
      { ino: 10, ...missing },
      { ino: 11, ...missing },
    ]);
    expect(await damages(true)).toEqual([
      { ino: 10, ...corrupt },
      { ino: 10, ...missing },
      { ino: 11, ...corrupt },
      { ino: 11, ...missing },
    ]);
  });

  test('names a manifest that is missing', async () => {
    const { manifest } = await rig.sealed(13, pattern(9 * BLOCK_BYTES));
    if (manifest.kind !== 'object') throw new Error('9 blocks are to be an object');
    const { hash } = manifest;
    await rig.store.delete(`manifests/${hash.slice(0, 2)}/${hash.slice(2, 4)}/${hash}`);
    expect(await damages(false)).toEqual([
      { ino: 13, offset: 0, hash, what: 'manifest', problem: 'missing' },
    ]);
  });
});
