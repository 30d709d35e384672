import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BlockHash, GfsError } from '../../src/core/index.js';
import { BLOCK_BYTES, type ManifestBlock } from '../../src/namespace/index.js';
import { MemoryStore } from '../../src/sites/index.js';
import { hashBlock } from '../../src/transfer/block-codec.js';
import { BlockHasher } from '../../src/transfer/block-hasher.js';
import { blockKey, BlockStore, manifestKey } from '../../src/transfer/block-store.js';
import { Manifest } from '../../src/transfer/manifest.js';
import { pattern } from './rig.js';

const text = Buffer.from('all work and no play makes a compressible block\n'.repeat(10_000));

describe('BlockStore', () => {
  let store: MemoryStore;
  let blocks: BlockStore;
  beforeEach(() => {
    store = new MemoryStore();
    blocks = new BlockStore(store, { compression: 'zstd' });
  });
  const put = async (bytes: Buffer): Promise<BlockHash> => {
    const hash = hashBlock(bytes);
    await blocks.put(hash, bytes);
    return hash;
  };

  test('names blocks by BLAKE3 of their plain bytes', () => {
    // The hash of nothing, from the BLAKE3 test vectors.
    const empty = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';
    expect(hashBlock(Buffer.alloc(0))).toBe(empty);
    expect(blockKey(empty as BlockHash)).toBe(`blocks/af/13/${empty}`);
  });

  test('compresses what compresses, and keeps plain what does not', async () => {
    const compressed = await put(text);
    const random = randomBytes(300_000);
    const plain = await put(random);
    expect((await store.head(blockKey(compressed)))?.bytes).toBeLessThan(text.length / 8);
    expect((await store.head(blockKey(plain)))?.bytes).toBe(random.length);
    for (const [hash, bytes] of [
      [compressed, text],
      [plain, random],
    ] as const) {
      expect(Buffer.compare(await blocks.get(hash, bytes.length), bytes)).toBe(0);
      expect(Buffer.compare(await blocks.get(hash, undefined), bytes)).toBe(0);
      expect(await blocks.has(hash, bytes.length)).toBe(true);
    }
  });

  test('keeps a block that looks like a zstd frame, and does not take it for one', async () => {
    const frame = await store.get(blockKey(await put(text)));
    const plainStore = new BlockStore(store, { compression: 'none' });
    const hash = hashBlock(frame.bytes);
    await plainStore.put(hash, frame.bytes);
    for (const length of [frame.totalBytes, undefined]) {
      expect(Buffer.compare(await blocks.get(hash, length), frame.bytes)).toBe(0);
    }
  });

  test('a stored object that was altered or cut is CORRUPT; never are wrong bytes returned', async () => {
    for (const bytes of [text, randomBytes(5000)]) {
      const key = blockKey(await put(bytes));
      const object = Buffer.from((await store.get(key)).bytes);
      const reads: unknown[] = [];
      for (let at = 0; at < object.length; at += Math.ceil(object.length / 50)) {
        const altered = Buffer.from(object);
        altered[at] = (altered[at] ?? 0) ^ 0x10;
        await store.put(key, altered);
        reads.push(await blocks.get(hashBlock(bytes), bytes.length).catch((thrown: unknown) => thrown));
      }
      // Some bits of a zstd frame's head do not change what it holds.
      const corrupt = reads.filter((read) => read instanceof GfsError && read.code === 'CORRUPT');
      const right = reads.filter((read) => Buffer.isBuffer(read) && read.equals(bytes));
      expect(corrupt.length + right.length).toBe(reads.length);
      expect(right.length).toBeLessThanOrEqual(object.length === bytes.length ? 0 : 3);
      await store.put(key, object.subarray(0, -1));
      await expect(blocks.get(hashBlock(bytes), bytes.length)).rejects.toMatchObject({ code: 'CORRUPT' });
    }
  });

  test('short manifests are inline, longer ones are objects that are verified', async () => {
    const list = (count: number): ManifestBlock[] =>
      Array.from({ length: count }, (_, index) => ({
        index: index * 3,
        hash: hashBlock(Buffer.from([index])),
      }));
    expect(await blocks.putManifest(Manifest.of(list(8)))).toEqual({ kind: 'inline', blocks: list(8) });
    const ref = await blocks.putManifest(Manifest.of(list(9)));
    if (ref.kind !== 'object') throw new Error('9 blocks are to be an object');
    const loaded = await blocks.loadManifest(ref);
    expect([...loaded.blocks()]).toEqual(list(9));
    expect(loaded.hashOf(6)).toBe(list(9)[2]?.hash);
    expect(loaded.hashOf(7)).toBeUndefined();
    await store.put(manifestKey(ref.hash), Buffer.from('what?'));
    await expect(blocks.loadManifest(ref)).rejects.toMatchObject({ code: 'CORRUPT' });
    await store.delete(manifestKey(ref.hash));
    await expect(blocks.loadManifest(ref)).rejects.toMatchObject({ code: 'CORRUPT' });
  });
});

describe('BlockHasher', () => {
  const hasher = new BlockHasher(2);
  let path: string;
  let fd: number;
  beforeEach(() => {
    path = join(fs.mkdtempSync(join(tmpdir(), 'gfs-hash-')), 'file');
    fs.writeFileSync(path, pattern(BLOCK_BYTES + 100_000));
    fd = fs.openSync(path, 'r');
  });
  afterEach(async () => {
    fs.closeSync(fd);
    fs.rmSync(join(path, '..'), { recursive: true });
    await hasher.close();
  });

  test('a worker hashes the range of a file that was asked for', async () => {
    const bytes = fs.readFileSync(path);
    const ranges = [
      [0, BLOCK_BYTES],
      [BLOCK_BYTES, 100_000],
      [777, 70_000],
      [5, 100],
    ] as const;
    const hashes = await Promise.all(ranges.map(([offset, length]) => hasher.hash(fd, offset, length)));
    expect(hashes).toEqual(
      ranges.map(([offset, length]) => hashBlock(bytes.subarray(offset, offset + length))),
    );
  });

  test('a range past the end is EIO, for small and large ones, and the hasher works on', async () => {
    for (const length of [200, BLOCK_BYTES]) {
      await expect(hasher.hash(fd, BLOCK_BYTES + 99_900, length)).rejects.toMatchObject({ code: 'EIO' });
    }
    await expect(hasher.hash(fd, 0, BLOCK_BYTES)).resolves.toMatch(/^[0-9a-f]{64}$/);
  });
});
