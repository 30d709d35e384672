import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DirectoryStore } from '../../src/sites/index.js';
import { objectStoreContract } from './object-store-contract.js';

const makeDirectory = (): string => fs.mkdtempSync(join(tmpdir(), 'gfs-sites-'));

objectStoreContract('DirectoryStore', () => {
  const root = makeDirectory();
  const store = new DirectoryStore(root);
  return {
    store,
    end: () => {
      store.close();
      fs.rmSync(root, { recursive: true });
    },
  };
});

describe('DirectoryStore', () => {
  let base: string;
  let root: string;
  let store: DirectoryStore;
  beforeAll(() => {
    base = makeDirectory();
    root = join(base, 'store');
    store = new DirectoryStore(root);
  });
  afterAll(() => {
    store.close();
    fs.rmSync(base, { recursive: true });
  });

  const makeFile = (name: string, bytes: Buffer) => {
    const path = join(base, name);
    fs.writeFileSync(path, bytes);
    const fd = fs.openSync(path, 'r+');
    return { path, fd, offset: 0, length: bytes.length, fileBytes: bytes.length };
  };

  test('deletes at open what dead processes left in tmp/, and leaves what live ones write', () => {
    const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
    const dead = execFileSync('sh', ['-c', 'echo $$']).toString().trim();
    const leftovers = [`${boot}-${dead}-00000000-1`, `${boot}-${process.pid}-00000000-1`, 'otherboot-1-2-3'];
    for (const name of leftovers) fs.writeFileSync(join(root, 'tmp', name), 'half');
    fs.utimesSync(join(root, 'tmp', 'otherboot-1-2-3'), 1, 1);
    const live = [`${boot}-1-00000000-1`, 'otherboot-1-2-4'];
    for (const name of live) fs.writeFileSync(join(root, 'tmp', name), 'half');
    new DirectoryStore(root).close();
    expect(fs.readdirSync(join(root, 'tmp')).sort()).toEqual([...live].sort());
    for (const name of live) fs.unlinkSync(join(root, 'tmp', name));
  });

  test('adopts a whole file by a hard link: one file, two names', async () => {
    const file = makeFile('whole', Buffer.from('whole file'));
    expect(await store.adopt('blocks/whole', file)).toBe('linked');
    expect(fs.statSync(join(root, 'blocks/whole')).ino).toBe(fs.statSync(file.path).ino);
    // Again, as after a crash between link and commit.
    expect(await store.adopt('blocks/whole', file)).toBe('linked');
    fs.closeSync(file.fd);
  });

  test('does not adopt over an object that another file made', async () => {
    const file = makeFile('other', Buffer.from('whole file'));
    expect(await store.adopt('blocks/whole', file)).toBeUndefined();
    fs.closeSync(file.fd);
  });

  test('unshare gives the object bytes of its own; the file keeps its inode', async () => {
    const file = makeFile('shared', Buffer.from('before'));
    await store.adopt('blocks/shared', file);
    await store.unshare('blocks/shared');
    expect(fs.fstatSync(file.fd).nlink).toBe(1);
    fs.writeSync(file.fd, 'AFTER!', 0);
    fs.closeSync(file.fd);
    expect(Buffer.from((await store.get('blocks/shared')).bytes).toString()).toBe('before');
  });

  test('a part of a file is adopted by reflink or not at all', async () => {
    const bytes = Buffer.alloc(3 * 4096, 1);
    const file = { ...makeFile('part', bytes), offset: 4096, length: 4096 };
    const how = await store.adopt('blocks/part', file);
    if (how === undefined) expect(await store.head('blocks/part')).toBeUndefined();
    else expect((await store.get('blocks/part')).bytes).toEqual(bytes.subarray(4096, 8192));
    expect(fs.readdirSync(join(root, 'tmp'))).toEqual([]);
    fs.closeSync(file.fd);
  });

  test('an object is stamped with the time it became one, not with its file’s mtime', async () => {
    const file = makeFile('old', Buffer.from('old file'));
    fs.utimesSync(file.path, 1, 1);
    await store.adopt('blocks/old', file);
    fs.closeSync(file.fd);
    expect(Date.now() - ((await store.head('blocks/old'))?.modifiedMs ?? 0)).toBeLessThan(60_000);
  });

  const asRoot = process.getuid?.() === 0 ? test : test.skip;
  asRoot('a full disk is ENOSPC, leaves nothing half-made, and passes when there is room again', async () => {
    const mountPoint = join(base, 'tmpfs');
    fs.mkdirSync(mountPoint);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mountPoint]);
    let full: DirectoryStore | undefined;
    try {
      full = new DirectoryStore(join(mountPoint, 'store'));
      await full.put('first', Buffer.alloc(600_000, 1));
      for (const bytes of [700_000, 2_000_000]) {
        await expect(full.put('second', Buffer.alloc(bytes, 2))).rejects.toMatchObject({ code: 'ENOSPC' });
      }
      await expect(fillWithSmall(full)).rejects.toMatchObject({ code: 'ENOSPC' });
      expect(await full.head('second')).toBeUndefined();
      expect(fs.readdirSync(join(mountPoint, 'store/tmp'))).toEqual([]);
      expect((await full.get('first')).totalBytes).toBe(600_000);
      await full.delete('first');
      await full.put('second', Buffer.alloc(500_000, 2));
    } finally {
      full?.close();
      execFileSync('umount', [mountPoint]);
    }
  });
});

async function fillWithSmall(store: DirectoryStore): Promise<void> {
  for (let i = 0; i < 100; i++) await store.put(`small/${i}`, Buffer.alloc(60_000, 3));
}
