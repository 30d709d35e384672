import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as fs from 'node:fs';
import { BLOCK_BYTES } from '../../src/namespace/index.js';
import { pattern, Rig } from './rig.js';

const MIB = 1024 * 1024;

describe('what is written and closed', () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await Rig.make();
  });
  afterEach(async () => rig.end());

  test.each([0, 1, 4096, 65_536, 65_537, MIB, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 77])(
    'is sealed and reads back, also when evicted: %d bytes',
    async (length) => {
      const bytes = pattern(length);
      const inode = await rig.sealed(7, bytes);
      expect(inode).toMatchObject({ version: 1, size: length });
      expect(fs.existsSync(rig.staging(7))).toBe(false);
      expect(fs.existsSync(rig.cached(7))).toBe(true);
      expect(Buffer.compare(await rig.read(7), bytes)).toBe(0);
      rig.evict(7);
      expect(fs.existsSync(rig.cached(7))).toBe(false);
      expect(Buffer.compare(await rig.read(7), bytes)).toBe(0);
    },
  );

  test('is sealed by itself after the delay', async () => {
    const content = rig.create(8);
    fs.writeSync(content.fd, 'soon', 0);
    rig.cache.close(content, 'write');
    for (let i = 0; i < 100 && rig.inodes.get(8).version === 0; i++)
      await new Promise((r) => setTimeout(r, 20));
    expect(rig.inodes.get(8).version).toBe(1);
  });

  test('a file of one block without holes is there once: it and its block are one', async () => {
    const inode = await rig.sealed(9, pattern(100_000));
    const hash = inode.manifest.kind === 'inline' ? (inode.manifest.blocks[0]?.hash ?? '') : '';
    expect(fs.statSync(rig.cached(9)).ino).toBe(fs.statSync(rig.objectPath(hash)).ino);
  });
});
