import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GfsError, type Ino } from '../../src/core/index.js';
import { BLOCK_BYTES } from '../../src/namespace/index.js';
import { hashesOf, pattern, Rig, until } from './rig.js';

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make();
});
afterEach(async () => rig.end());

function alter(path: string, offset: number): void {
  const fd = fs.openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, offset);
  byte[0] = (byte[0] ?? 0) ^ 1;
  fs.writeSync(fd, byte, 0, 1, offset);
  fs.closeSync(fd);
}

describe('damage', () => {
  test('a block that was altered in the store is CORRUPT, and the log names file, offset and block', async () => {
    const inode = await rig.sealed(1, pattern(3 * BLOCK_BYTES));
    const [, hash] = hashesOf(inode);
    await rig.evict(1);
    alter(rig.objectPath(hash), 1234);
    const content = await rig.cache.open(inode, 'read');
    await content.ensure(0, 1);
    await expect(content.ensure(BLOCK_BYTES, 1)).rejects.toMatchObject({ name: 'GfsError', code: 'CORRUPT' });
    expect(rig.log).toContainEqual(expect.objectContaining({ ino: 1, offset: BLOCK_BYTES, hash }));
    rig.cache.close(content, 'read');
  });

  test('a single block that was altered fails the open', async () => {
    const inode = await rig.sealed(2, pattern(4000));
    await rig.evict(2);
    alter(rig.objectPath(hashesOf(inode)[0]), 5);
    await expect(rig.cache.open(inode, 'read')).rejects.toMatchObject({ code: 'CORRUPT' });
    expect(rig.cache.stats().live).toBe(0);
  });

  test('a shared file that was altered is its block too: CORRUPT, never wrong bytes', async () => {
    const inode = await rig.sealed(3, pattern(4000));
    alter(rig.cached(3), 5);
    await expect(rig.cache.open(inode, 'read')).rejects.toMatchObject({ code: 'CORRUPT' });
  });

  test('a missing block is EIO, and can be overwritten', async () => {
    const inode = await rig.sealed(4, pattern(2 * BLOCK_BYTES));
    await rig.evict(4);
    fs.unlinkSync(rig.objectPath(hashesOf(inode)[1]));
    const content = await rig.cache.open(inode, 'write');
    await expect(content.ensure(BLOCK_BYTES, 1)).rejects.toMatchObject({ code: 'EIO' });
    await expect(content.ensureForWrite(BLOCK_BYTES, 10)).rejects.toMatchObject({ code: 'EIO' });
    const fresh = pattern(BLOCK_BYTES, 9);
    await content.ensureForWrite(BLOCK_BYTES, BLOCK_BYTES);
    fs.writeSync(content.fd, fresh, 0, BLOCK_BYTES, BLOCK_BYTES);
    rig.cache.close(content, 'write');
    await rig.cache.flushAll();
    await rig.evict(4);
    expect(Buffer.compare((await rig.read(4)).subarray(BLOCK_BYTES), fresh)).toBe(0);
  });

  test.each([4000, 2 * BLOCK_BYTES + 5])(
    'a cache file that was altered is fetched again: %d bytes',
    async (length) => {
      // A hole in front keeps the small file from being one with its block.
      const bytes = Buffer.concat([Buffer.alloc(64 * 1024), pattern(length)]);
      const content = rig.create(5);
      fs.writeSync(content.fd, bytes, 64 * 1024, length, 64 * 1024);
      rig.cache.close(content, 'write');
      await rig.cache.flushAll();
      await new Promise((resolve) => setTimeout(resolve, 10)); // the kernel's clock ticks every 4 ms
      alter(rig.cached(5), 64 * 1024 + 17);
      alter(rig.cached(5), 3); // in the hole
      expect(Buffer.compare(await rig.read(5), bytes)).toBe(0);
    },
  );

  test('a cache file that is intact survives an unclean end; an altered one does not', async () => {
    await rig.sealed(6, pattern(2 * BLOCK_BYTES));
    await rig.sealed(7, pattern(2 * BLOCK_BYTES, 7));
    await rig.restart('unclean');
    alter(rig.cached(7), BLOCK_BYTES + 1);
    expect(Buffer.compare(await rig.read(6), pattern(2 * BLOCK_BYTES))).toBe(0);
    expect(Buffer.compare(await rig.read(7), pattern(2 * BLOCK_BYTES, 7))).toBe(0);
  });

  test('after an unclean end intact blocks are verified where they are, not fetched', async () => {
    const inode = await rig.sealed(8, pattern(2 * BLOCK_BYTES));
    await rig.restart('unclean');
    for (const hash of hashesOf(inode)) fs.unlinkSync(rig.objectPath(hash));
    expect(Buffer.compare(await rig.read(8), pattern(2 * BLOCK_BYTES))).toBe(0);
    const content = await rig.cache.open(inode, 'read');
    expect(content.whole).toBe(true);
    rig.cache.close(content, 'read');
  });

  test('cache files that nothing vouches for are deleted after an unclean end', async () => {
    fs.writeFileSync(rig.cached(77), 'whose?');
    await rig.restart('unclean');
    expect(fs.existsSync(rig.cached(77))).toBe(false);
  });
});

describe('failing seals', () => {
  test('a commit that fails is tried again; what was written stays staged till then', async () => {
    let failures = 1;
    rig.inodes.beforeCommit = () => {
      if (failures-- > 0) throw new GfsError('UNAVAILABLE', 'the namespace is away');
    };
    const content = rig.create(10);
    fs.writeSync(content.fd, 'kept', 0);
    rig.cache.close(content, 'write');
    await expect(rig.cache.flushAll()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(fs.readFileSync(rig.staging(10), 'utf8')).toBe('kept');
    await until(() => rig.inodes.get(10).version === 1);
    expect((await rig.read(10)).toString()).toBe('kept');
  });

  test('an open for writing ends a seal that has not been committed', async () => {
    let release: () => void = () => undefined;
    let syncing = false;
    const realSync = rig.store.sync.bind(rig.store);
    rig.store.sync = async () => {
      syncing = true;
      await new Promise<void>((resolve) => (release = resolve));
      await realSync();
    };
    const content = rig.create(11);
    fs.writeSync(content.fd, 'first', 0);
    rig.cache.close(content, 'write');
    await until(() => syncing);
    const writer = await rig.cache.open(rig.inodes.get(11), 'write');
    fs.writeSync(writer.fd, 'SECOND', 0);
    release();
    await until(() => rig.cache.stats().queued === 0);
    expect(rig.inodes.get(11).version).toBe(0);
    rig.store.sync = realSync;
    rig.cache.close(writer, 'write');
    await rig.cache.flushAll();
    expect((await rig.read(11)).toString()).toBe('SECOND');
    // The block of the first state was one with the file: it must not have changed with it.
    for await (const { key } of rig.store.list('blocks/')) {
      const hash = key.slice(-64) as Parameters<typeof rig.blocks.get>[0];
      await expect(rig.blocks.get(hash, undefined)).resolves.toBeDefined();
    }
  });

  test('an open for writing waits for a commit that is under way, and builds on it', async () => {
    let release: () => void = () => undefined;
    let committing = false;
    rig.inodes.beforeCommit = () => {
      if (committing) return undefined;
      committing = true;
      return new Promise((resolve) => (release = resolve));
    };
    const content = rig.create(12);
    fs.writeSync(content.fd, 'first', 0);
    rig.cache.close(content, 'write');
    await until(() => committing);
    const opening = rig.cache.open(rig.inodes.get(12), 'write');
    release();
    const writer = await opening;
    expect(rig.inodes.get(12).version).toBe(1);
    fs.writeSync(writer.fd, 'SECOND', 0);
    rig.cache.close(writer, 'write');
    await rig.cache.flushAll();
    expect(rig.inodes.get(12).version).toBe(2);
    expect((await rig.read(12)).toString()).toBe('SECOND');
  });

  test('a file that is mapped or open for writing elsewhere is not sealed before that ends', async () => {
    const content = rig.create(13);
    fs.writeSync(content.fd, 'first', 0);
    const stray = fs.openSync(rig.staging(13), 'r+');
    rig.cache.close(content, 'write');
    await rig.cache.flushAll();
    expect(rig.inodes.get(13).version).toBe(0);
    fs.writeSync(stray, 'later', 0);
    fs.closeSync(stray);
    await rig.cache.flushAll();
    expect((await rig.read(13)).toString()).toBe('later');
  });

  test('what a mapping writes after a seal under a reader is sealed again', async () => {
    const content = rig.create(14);
    fs.writeSync(content.fd, 'first', 0);
    const stray = fs.openSync(rig.staging(14), 'r+');
    const reader = await rig.cache.open(rig.inodes.get(14), 'read');
    rig.cache.close(content, 'write');
    await rig.cache.flushAll();
    expect(rig.inodes.get(14).version).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 10));
    fs.writeSync(stray, 'later', 0);
    fs.closeSync(stray);
    rig.cache.close(reader, 'read');
    await rig.cache.flushAll();
    expect(rig.inodes.get(14).version).toBe(2);
    await rig.evict(14);
    expect((await rig.read(14)).toString()).toBe('later');
  });
});

describe('a full disk', () => {
  const asRoot = process.getuid?.() === 0 ? test : test.skip;
  asRoot('is ENOSPC to the writer; staged data stays and is sealed when there is room', async () => {
    const mountPoint = fs.mkdtempSync(join(tmpdir(), 'gfs-full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', mountPoint]);
    const small = await Rig.make({}, mountPoint);
    try {
      // A hole keeps it from being one with its block: it is on the disk twice when it is sealed.
      const content = small.create(1);
      const bytes = pattern(3_500_000);
      fs.writeSync(content.fd, bytes, 0, bytes.length, 100_000);
      small.cache.close(content, 'write');
      const ballast = join(mountPoint, 'ballast');
      expect(() => fs.writeFileSync(ballast, Buffer.alloc(16_000_000))).toThrow('ENOSPC');
      await expect(small.cache.flushAll()).rejects.toMatchObject({ code: 'ENOSPC' });
      expect(small.inodes.get(1).version).toBe(0);
      fs.unlinkSync(ballast);
      await small.cache.flushAll();
      await small.evict(1);
      expect(Buffer.compare((await small.read(1)).subarray(100_000), bytes)).toBe(0);
      // A fetch into a full disk.
      await small.evict(1);
      expect(() => fs.writeFileSync(ballast, Buffer.alloc(16_000_000))).toThrow('ENOSPC');
      await expect(small.read(1)).rejects.toMatchObject({ code: 'ENOSPC' });
      expect(small.cache.peek(1 as Ino)).toBeUndefined();
      fs.unlinkSync(ballast);
      expect((await small.read(1)).length).toBe(3_600_000);
    } finally {
      await small.end();
      execFileSync('umount', [mountPoint]);
      fs.rmdirSync(mountPoint);
    }
  });

  asRoot('what is staged is not copied to the store while that would fill the disk', async () => {
    const mountPoint = fs.mkdtempSync(join(tmpdir(), 'gfs-room-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', mountPoint]);
    const small = await Rig.make({}, mountPoint);
    try {
      const content = small.create(1);
      const bytes = pattern(40_000_000);
      fs.writeSync(content.fd, bytes);
      small.cache.close(content, 'write');
      await expect(small.cache.flushAll()).rejects.toMatchObject({ code: 'ENOSPC' });
      expect(small.inodes.get(1).version).toBe(0);
      const disk = fs.statfsSync(mountPoint);
      expect(disk.bavail * disk.bsize).toBeGreaterThan(20_000_000);
      execFileSync('mount', ['-o', 'remount,size=128m', mountPoint]);
      await small.cache.flushAll();
      expect(small.inodes.get(1).version).toBe(1);
      await small.evict(1);
      expect(Buffer.compare(await small.read(1), bytes)).toBe(0);
    } finally {
      await small.end();
      execFileSync('umount', [mountPoint]);
      fs.rmdirSync(mountPoint);
    }
  });
});
