import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, rmdirSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { LmdbStore } from '../../src/coordinator/lmdb-store.js';
import { type Ino, ROOT_INO, timeNs } from '../../src/core/index.js';
import { type KvStore, Namespace, checkNamespace } from '../../src/namespace/index.js';
import { Tree, nameOf } from '../namespace/support.js';

/** A filesystem of its own, to be filled: only root can mount one. */
const asRoot = process.getuid?.() === 0 ? describe : describe.skip;

let disk: string;

beforeEach(() => {
  disk = mkdtempSync(join(tmpdir(), 'globalfs-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128m', 'globalfs-test', disk]);
});

afterEach(() => {
  execFileSync('umount', [disk]);
  rmdirSync(disk);
});

const freeBytes = (): number => {
  const { bavail, bsize } = statfsSync(disk);
  return bavail * bsize;
};

/** Makes the disk full, but for `leaveBytes`. */
function fill(leaveBytes: number): void {
  writeFileSync(join(disk, 'filler'), Buffer.alloc(Math.max(0, freeBytes() - leaveBytes)));
}

/** Makes files until that fails. @returns how many, and the error's code */
async function makeUntilFull(
  tree: Tree,
  parent: Ino,
  prefix: string,
): Promise<{ made: number; code: string }> {
  for (let made = 0; ; made++) {
    try {
      tree.file(`${prefix}${made}`, parent);
    } catch (thrown) {
      return { made, code: (thrown as { code: string }).code };
    }
    if (made % 500 === 499) await tree.namespace.flush();
    if (made > 200_000) return { made, code: 'none' };
  }
}

asRoot('on a full disk', () => {
  test('what grows is refused, deletes go on, and space that comes back is used', async () => {
    const kv = LmdbStore.open({ path: join(disk, 'meta'), groupMs: 5 });
    const tree = await Tree.make(kv);
    const parent = tree.directory('d');
    fill(0);
    const { made, code } = await makeUntilFull(tree, parent, 'f');
    expect([code, made > 0]).toEqual(['ENOSPC', true]);
    for (let file = 0; file < made; file++) {
      const { orphaned } = tree.do({ kind: 'unlink', parent, name: nameOf(`f${file}`) });
      tree.do({ kind: 'reap', ino: orphaned?.ino as Ino });
      if (file % 500 === 499) await tree.namespace.flush();
    }
    tree.do({ kind: 'setattr', ino: parent, mode: 0o700 });
    await tree.namespace.flush();
    expect(tree.errorOf({ kind: 'tmpfile', ...newFile(tree, parent) })).toBe('ENOSPC');
    rmSync(join(disk, 'filler'));
    await delay(600); // the reserve is tried again every half second
    tree.file('again', parent);
    await tree.namespace.close();
    await expectSound(join(disk, 'meta'), 3);
  });

  test('a group that could not be written is undone wholly, and said to be', async () => {
    const kv = LmdbStore.open({ path: join(disk, 'meta'), groupMs: 5 });
    const blind: KvStore = withoutRoomCheck(kv);
    const failures: string[] = [];
    const onCommitError = (error: { code: string }): void => void failures.push(error.code);
    const namespace = await Namespace.open({ kv: blind, root: { uid: 0, gid: 0 }, onCommitError });
    const tree = new Tree(namespace);
    const parent = tree.directory('d');
    await namespace.flush();
    fill(0);
    const value = Buffer.alloc(60_000);
    const attributes = Array.from({ length: 3000 }, (_, i) => `user.${i}`);
    for (const name of attributes.slice(0, 1000)) {
      const ino = tree.file(name, parent);
      tree.do({ kind: 'setxattr', ino, name, value, mode: 'either', killSgid: false });
    }
    await expect(namespace.flush()).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(failures[0]).toBe('ENOSPC');
    expect(namespace.readDirectory(parent, '', 10)).toEqual([]);
    expect(namespace.inode(parent)).toMatchObject({ entries: 0 });
    rmSync(join(disk, 'filler'));
    tree.file('later', parent);
    await namespace.close();
    await expectSound(join(disk, 'meta'), 3);
  });
});

const newFile = (tree: Tree, parent: Ino) => ({
  ...{ parent, ino: tree.nextIno(), caller: { uid: 0, gid: 0 }, mode: 0o600, umask: 0 },
});

/** The store as it would be if nothing watched the disk. */
function withoutRoomCheck(kv: KvStore): KvStore {
  return {
    get: (key) => kv.get(key),
    range: (range) => kv.range(range),
    commit: (writes) => kv.commit(writes),
    sync: () => kv.sync(),
    close: () => kv.close(),
  };
}

async function expectSound(path: string, inodes: number): Promise<void> {
  mkdirSync(path, { recursive: true });
  const kv = LmdbStore.open({ path });
  const check = await checkNamespace(kv, { repair: false, timeNs: timeNs(0n) });
  expect(check).toMatchObject({ problems: [], counts: { inodes } });
  const namespace = await Namespace.open({ kv, root: { uid: 0, gid: 0 } });
  expect(namespace.inode(ROOT_INO)).toMatchObject({ entries: 1 });
  await namespace.close();
}
