import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as fs from 'node:fs';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, type Ino } from '../../src/core/index.js';
import { BLOCK_BYTES } from '../../src/namespace/index.js';
import { hashesOf, pattern, Rig, until } from './rig.js';

const MIB = 1024 * 1024;

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make();
});
afterEach(async () => rig.end());

describe('what is written and closed', () => {
  test.each([0, 1, 4096, 65_536, 65_537, MIB, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 77])(
    'is sealed and reads back, also when evicted: %d bytes',
    async (length) => {
      const bytes = pattern(length);
      const inode = await rig.sealed(7, bytes);
      expect(inode).toMatchObject({ version: 1, size: length });
      expect(fs.existsSync(rig.staging(7))).toBe(false);
      expect(fs.existsSync(rig.cached(7))).toBe(true);
      expect(Buffer.compare(await rig.read(7), bytes)).toBe(0);
      await rig.evict(7);
      expect(fs.existsSync(rig.cached(7))).toBe(false);
      expect(Buffer.compare(await rig.read(7), bytes)).toBe(0);
    },
  );

  test('is sealed by itself after the delay', async () => {
    const content = rig.create(8);
    fs.writeSync(content.fd, 'soon', 0);
    rig.cache.close(content, 'write');
    await until(() => rig.inodes.get(8).version === 1);
  });

  test('is on the disk once where it is one block: the file and its block are one', async () => {
    const inode = await rig.sealed(9, pattern(100_000));
    expect(fs.statSync(rig.cached(9)).ino).toBe(fs.statSync(rig.objectPath(hashesOf(inode)[0])).ino);
    expect(rig.cache.stats().cachedBytes).toBe(0);
  });

  test('is stored once where two files have the same content', async () => {
    const first = await rig.sealed(10, pattern(50_000));
    const second = await rig.sealed(11, pattern(50_000));
    expect(hashesOf(first)).toEqual(hashesOf(second));
    await rig.evict(10);
    expect(Buffer.compare(await rig.read(11), pattern(50_000))).toBe(0);
  });

  test('keeps its holes: a sparse file of 8 TiB is two blocks', async () => {
    const size = 8 * 1024 ** 4;
    const content = rig.create(12);
    fs.writeSync(content.fd, 'begin', 0);
    fs.writeSync(content.fd, 'end', size - 3);
    rig.cache.close(content, 'write');
    await rig.cache.flushAll();
    expect(hashesOf(rig.inodes.get(12))).toHaveLength(2);
    await rig.evict(12);
    const open = await rig.cache.open(rig.inodes.get(12), 'read');
    expect(open.stat().size).toBe(size);
    expect(open.seek(0, 3)).toBe(0);
    expect(open.seek(BLOCK_BYTES, 3)).toBeGreaterThan(size - 2 * BLOCK_BYTES);
    expect(open.seek(0, 4)).toBe(BLOCK_BYTES);
    await open.ensure(size - 3, 3);
    const tail = Buffer.alloc(3);
    fs.readSync(open.fd, tail, 0, 3, size - 3);
    expect(tail.toString()).toBe('end');
    rig.cache.close(open, 'read');
  });

  test('of a file that is written again, only the changed block is stored anew', async () => {
    const bytes = pattern(10 * BLOCK_BYTES);
    const before = await rig.sealed(13, bytes);
    expect(before.manifest.kind).toBe('object');
    await rig.write(13, Buffer.from('changed'), 5 * BLOCK_BYTES + 10);
    await rig.cache.flushAll();
    bytes.write('changed', 5 * BLOCK_BYTES + 10);
    const blocks = await countObjects(rig);
    expect(blocks).toBe(11);
    await rig.evict(13);
    expect(Buffer.compare(await rig.read(13), bytes)).toBe(0);
  });

  test('is not committed again when it was opened for writing and left as it was', async () => {
    await rig.sealed(14, pattern(5000));
    const content = await rig.cache.open(rig.inodes.get(14), 'write');
    rig.cache.close(content, 'write');
    await rig.cache.flushAll();
    expect(rig.inodes.get(14).version).toBe(1);
    expect(fs.existsSync(rig.cached(14))).toBe(true);
  });

  test('is discarded when the inode is gone by then', async () => {
    const content = rig.create(15);
    fs.writeSync(content.fd, 'gone', 0);
    rig.inodes.records.delete(15);
    rig.cache.close(content, 'write');
    await rig.cache.flushAll();
    expect(fs.existsSync(rig.staging(15))).toBe(false);
    expect(rig.cache.stats()).toMatchObject({ live: 0, stagedBytes: 0 });
  });

  test('leaves nothing behind when it is discarded before its seal', async () => {
    const content = rig.create(16);
    rig.cache.close(content, 'write');
    await rig.cache.discard(16 as Ino);
    expect(fs.existsSync(rig.staging(16))).toBe(false);
    expect(rig.cache.peek(16 as Ino)).toBeUndefined();
  });
});

describe('a file that is one with its block', () => {
  test('gets bytes of its own when it is opened for writing', async () => {
    const before = await rig.sealed(20, pattern(5000));
    await rig.write(20, Buffer.from('new'), 0);
    expect(Buffer.compare(fs.readFileSync(rig.objectPath(hashesOf(before)[0])), pattern(5000))).toBe(0);
    await rig.cache.flushAll();
    const expected = pattern(5000);
    expected.write('new', 0);
    expect(Buffer.compare(await rig.read(20), expected)).toBe(0);
  });

  test('keeps its inode for readers, and the block gets the copy, when they have it open', async () => {
    const before = await rig.sealed(21, pattern(5000));
    const reader = await rig.cache.open(rig.inodes.get(21), 'read');
    const inoBefore = fs.fstatSync(reader.fd).ino;
    const writer = await rig.cache.open(rig.inodes.get(21), 'write');
    expect(writer).toBe(reader);
    expect(fs.fstatSync(writer.fd)).toMatchObject({ ino: inoBefore, nlink: 1 });
    fs.writeSync(writer.fd, 'seen at once', 0);
    expect(Buffer.compare(fs.readFileSync(rig.objectPath(hashesOf(before)[0])), pattern(5000))).toBe(0);
    rig.cache.close(writer, 'write');
    await rig.cache.flushAll();
    expect(rig.inodes.get(21).version).toBe(2);
    expect(reader.staged).toBe(false);
    const seen = Buffer.alloc(12);
    fs.readSync(reader.fd, seen, 0, 12, 0);
    expect(seen.toString()).toBe('seen at once');
    rig.cache.close(reader, 'read');
  });

  test('is replaced by an empty file when it is truncated at open', async () => {
    const before = await rig.sealed(22, pattern(5000));
    const content = await rig.cache.open(rig.inodes.get(22), 'truncate');
    expect(content.stat().size).toBe(0);
    rig.cache.close(content, 'truncate');
    await rig.cache.flushAll();
    expect(rig.inodes.get(22)).toMatchObject({ version: 2, size: 0 });
    expect(fs.statSync(rig.objectPath(hashesOf(before)[0])).size).toBe(5000);
  });
});

describe('an evicted file', () => {
  const bytes = pattern(6 * BLOCK_BYTES + 1000);
  beforeEach(async () => {
    await rig.sealed(30, bytes);
    await rig.evict(30);
  });

  test('is fetched block by block as it is read, and is whole in the end', async () => {
    const content = await rig.cache.open(rig.inodes.get(30), 'read');
    expect(content.whole).toBe(false);
    const { allocatedBytes } = content.stat();
    expect(allocatedBytes).toBeLessThan(BLOCK_BYTES);
    await content.ensure(4 * BLOCK_BYTES, 10);
    const some = Buffer.alloc(10);
    fs.readSync(content.fd, some, 0, 10, 4 * BLOCK_BYTES);
    expect(some).toEqual(bytes.subarray(4 * BLOCK_BYTES, 4 * BLOCK_BYTES + 10));
    expect(content.ensure(4 * BLOCK_BYTES + 100, 1000)).toBeUndefined();
    await content.ensure(0, bytes.length);
    expect(content.whole).toBe(true);
    rig.cache.close(content, 'read');
    expect(Buffer.compare(fs.readFileSync(rig.cached(30)), bytes)).toBe(0);
  });

  test('is read ahead for a sequential reader', async () => {
    const content = await rig.cache.open(rig.inodes.get(30), 'read');
    await content.ensure(0, 4096);
    await content.ensure(BLOCK_BYTES, 4096);
    await until(() => content.ensure(3 * BLOCK_BYTES, 1) === undefined);
    rig.cache.close(content, 'read');
    await until(() => rig.cache.stats().live === 0);
  });

  test('fetches a block once for many readers', async () => {
    const content = await rig.cache.open(rig.inodes.get(30), 'read');
    const waits = Array.from({ length: 8 }, async () => content.ensure(BLOCK_BYTES, 4096));
    await Promise.all(waits);
    expect(content.ensure(BLOCK_BYTES, 4096)).toBeUndefined();
    rig.cache.close(content, 'read');
  });

  test('is written in part without what is not touched being fetched', async () => {
    const changed = Buffer.from(bytes);
    const writer = await rig.cache.open(rig.inodes.get(30), 'write');
    await writer.ensureForWrite(2 * BLOCK_BYTES + 5, 7);
    fs.writeSync(writer.fd, 'partial', 2 * BLOCK_BYTES + 5);
    changed.write('partial', 2 * BLOCK_BYTES + 5);
    expect(writer.stat().allocatedBytes).toBeLessThan(2 * BLOCK_BYTES);
    rig.cache.close(writer, 'write');
    await rig.cache.flushAll();
    expect(fs.statSync(rig.cached(30)).blocks * 512).toBeLessThan(2 * BLOCK_BYTES);
    expect(Buffer.compare(await rig.read(30), changed)).toBe(0);
    await rig.evict(30);
    expect(Buffer.compare(await rig.read(30), changed)).toBe(0);
  });

  test('keeps the blocks that a reader fetches while others are being sealed', async () => {
    await rig.write(30, Buffer.from('changed'), 0);
    const put = rig.store.put.bind(rig.store);
    let release: () => void = () => undefined;
    let storing = false;
    rig.store.put = async (...args) => {
      storing = true;
      await new Promise<void>((resolve) => (release = resolve));
      rig.store.put = put;
      await put(...args);
    };
    await until(() => storing);
    const reader = await rig.cache.open(rig.inodes.get(30), 'read');
    await reader.ensure(0, bytes.length);
    release();
    await rig.cache.flushAll();
    rig.cache.close(reader, 'read');
    await rig.evict(30);
    const changed = Buffer.from(bytes);
    changed.write('changed', 0);
    expect(Buffer.compare(await rig.read(30), changed)).toBe(0);
  });

  test('keeps what it has across a restart, and a partial staged file its absent blocks', async () => {
    const content = await rig.cache.open(rig.inodes.get(30), 'read');
    await content.ensure(5 * BLOCK_BYTES, 1);
    rig.cache.close(content, 'read');
    await rig.restart();
    const again = await rig.cache.open(rig.inodes.get(30), 'read');
    expect(again.ensure(5 * BLOCK_BYTES, 1)).toBeUndefined();
    rig.cache.close(again, 'read');
    await rig.write(30, Buffer.from('xyz'), BLOCK_BYTES);
    await rig.restart('unclean');
    await rig.cache.flushAll();
    const changed = Buffer.from(bytes);
    changed.write('xyz', BLOCK_BYTES);
    await rig.evict(30);
    expect(Buffer.compare(await rig.read(30), changed)).toBe(0);
  });

  test.each([0, 100, BLOCK_BYTES, BLOCK_BYTES + 100, 7 * BLOCK_BYTES, 20 * BLOCK_BYTES])(
    'is truncated to %d bytes and grows again with zeros',
    async (size) => {
      const content = await rig.cache.open(rig.inodes.get(30), 'write');
      await content.truncate(size);
      await content.truncate(8 * BLOCK_BYTES);
      rig.cache.close(content, 'write');
      await rig.cache.flushAll();
      await rig.evict(30);
      const expected = Buffer.alloc(8 * BLOCK_BYTES);
      bytes.copy(expected, 0, 0, Math.min(size, bytes.length));
      expect(Buffer.compare(await rig.read(30), expected)).toBe(0);
    },
  );

  test('loses what a hole is punched into, and nothing beside it', async () => {
    const content = await rig.cache.open(rig.inodes.get(30), 'write');
    const [offset, length] = [BLOCK_BYTES - 100, 2 * BLOCK_BYTES + 200];
    await content.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
    rig.cache.close(content, 'write');
    await rig.cache.flushAll();
    await rig.evict(30);
    const expected = Buffer.from(bytes).fill(0, offset, offset + length);
    expect(Buffer.compare(await rig.read(30), expected)).toBe(0);
  });
});

describe('the node’s bookkeeping', () => {
  test('clean files go, least recently used first, when there are too many; open ones stay', async () => {
    await rig.end();
    rig = await Rig.make({ cacheBytes: 10 * MIB });
    // A hole keeps a file from being one with its block.
    for (let ino = 40; ino < 52; ino++) await sealSparse(rig, ino);
    const open = await rig.cache.open(rig.inodes.get(51), 'read');
    for (let ino = 52; ino < 60; ino++) await sealSparse(rig, ino);
    await until(() => rig.cache.stats().cachedBytes <= 10 * MIB);
    expect(rig.cache.stats().cachedBytes).toBeGreaterThan(0);
    expect(fs.existsSync(rig.cached(51))).toBe(true);
    rig.cache.close(open, 'read');
    for (let ino = 40; ino < 60; ino++) expect((await rig.read(ino)).length).toBe(MIB + 100_000);
  });

  test('writers wait for the sealer when too much is staged, and go on when nothing can be sealed', async () => {
    await rig.end();
    rig = await Rig.make({ stagedBytesMax: MIB, sealDelayMs: 60_000 });
    const first = rig.create(60);
    fs.writeSync(first.fd, pattern(2 * MIB), 0, 2 * MIB, 0);
    rig.cache.close(first, 'write');
    const second = rig.create(61);
    await second.ensureForWrite(0, 10);
    expect(rig.inodes.get(60).version).toBe(1);
    fs.writeSync(second.fd, pattern(2 * MIB), 0, 2 * MIB, 0);
    const third = rig.create(62);
    expect(third.ensureForWrite(0, 10)).toBeUndefined();
    rig.cache.close(second, 'write');
    rig.cache.close(third, 'write');
  });

  test('describe tells which blocks are here', async () => {
    const inode = await rig.sealed(63, pattern(3 * BLOCK_BYTES));
    const here = await rig.cache.describe(63 as Ino, inode.manifest);
    expect(here.map(({ index, present, staged }) => [index, present, staged])).toEqual([
      [0, true, false],
      [1, true, false],
      [2, true, false],
    ]);
    await rig.evict(63);
    const open = await rig.cache.open(inode, 'read');
    await open.ensure(2 * BLOCK_BYTES, 1);
    rig.cache.close(open, 'read');
    const partly = await rig.cache.describe(63 as Ino, inode.manifest);
    expect(partly.map(({ present }) => present)).toEqual([false, false, true]);
  });

  test('files that are closed cost no memory', async () => {
    for (let ino = 100; ino < 400; ino++) {
      const content = rig.create(ino);
      fs.writeSync(content.fd, String(ino), 0);
      rig.cache.close(content, 'write');
    }
    await rig.cache.flushAll();
    expect(rig.cache.stats()).toMatchObject({ live: 0, queued: 0, stagedBytes: 0 });
    expect((await rig.read(250)).toString()).toBe('250');
  });
});

async function sealSparse(on: Rig, ino: number): Promise<void> {
  const content = on.create(ino);
  fs.writeSync(content.fd, pattern(MIB, ino), 0, MIB, 100_000);
  on.cache.close(content, 'write');
  await on.cache.flushAll();
}

async function countObjects(on: Rig): Promise<number> {
  let count = 0;
  for await (const { bytes } of on.store.list('blocks/')) if (bytes > 0) count++;
  return count;
}
