import { describe, expect, test } from '@jest/globals';
import { open, readdir, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fsckProblems, storedInfo } from '../support/globalfs.js';
import { isRoot, peer, withMount, type Mounted } from '../support/mounted.js';
import { Random, testSeed } from '../support/random-steps.js';
import { shell } from '../support/run.js';

/** Only the real filesystem has a store and a cache to damage. */
const onGlobalfs = peer === 'globalfs' ? test : test.skip;
const MIB = 1 << 20;

/** Bytes that do not compress, the same for the same seed. */
function noise(seed: number, length: number): Buffer {
  const random = new Random(seed);
  const bytes = Buffer.alloc(length);
  for (let i = 0; i + 4 <= length; i += 4) bytes.writeUInt32LE(random.int(2 ** 32), i);
  return bytes;
}

async function errorCode(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

async function writeSynced(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Changes one byte in the middle of a file, as a failing disk would. */
async function alter(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const at = Math.floor((await file.stat()).size / 2);
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
    buffer[0] = (buffer[0] ?? 0) ^ 0x55;
    await file.write(buffer, 0, 1, at);
  } finally {
    await file.close();
  }
}

const blockFile = (m: Mounted, hash: string): string => {
  const hex = hash.replace('blake3:', '');
  return join(m.stateDir, 'store/blocks', hex.slice(0, 2), hex.slice(2, 4), hex);
};

async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describe('damage', () => {
  onGlobalfs(
    'a block altered in the store is EIO and a log line that names file, offset and block',
    async () => {
      await withMount({ args: ['--cache-size', '16M'] }, async (m) => {
        const victim = join(m.mountpoint, 'victim');
        const [bytes, other] = [noise(1, 9 * MIB), noise(2, MIB)];
        await writeSynced(victim, bytes);
        await writeSynced(join(m.mountpoint, 'other'), other);
        const block = (await storedInfo(victim, bytes.length)).blocks[1];
        if (block === undefined) throw new Error('a file of 9 MiB has more than one block');
        // Later content pushes the victim out of the cache, so that the next read asks the store.
        for (let i = 0; i < 5; i++)
          await writeSynced(join(m.mountpoint, `filler${i}`), noise(10 + i, 8 * MIB));
        await m.umount();
        await alter(blockFile(m, block.hash));
        await m.start();
        expect(await errorCode(readFile(victim))).toBe('EIO');
        expect((await readFile(join(m.mountpoint, 'other'))).equals(other)).toBe(true);
        const file = await open(victim, 'r');
        const { buffer } = await file.read(Buffer.alloc(MIB), 0, MIB, 0);
        await file.close();
        expect(buffer.equals(bytes.subarray(0, MIB))).toBe(true);
        const line = m
          .log()
          .split('\n')
          .find((text) => text.includes(block.hash.replace('blake3:', '')));
        expect(line).toContain(`"offset":${block.offset}`);
        expect(line).toMatch(/"ino":|victim/);
        await m.umount();
        expect(await fsckProblems(m)).toContain(String(block.offset));
      });
    },
  );

  onGlobalfs.each(['umount', 'kill'] as const)(
    'a cached copy altered while nothing is mounted (after %s) is never read',
    async (end) => {
      await withMount({}, async (m) => {
        const path = join(m.mountpoint, 'file');
        const bytes = noise(3, 3 * MIB);
        await writeSynced(path, bytes);
        await storedInfo(path, bytes.length);
        await m[end]();
        for (const cached of await filesBelow(join(m.stateDir, 'content'))) {
          if ((await stat(cached)).size === bytes.length) await alter(cached);
        }
        await m.start();
        const read = await readFile(path).catch((error: NodeJS.ErrnoException) => error.code);
        expect(read === 'EIO' || (read instanceof Buffer && read.equals(bytes))).toBe(true);
      });
    },
  );

  onGlobalfs('a block missing from the store is EIO; other files are read', async () => {
    await withMount({ args: ['--cache-size', '16M'] }, async (m) => {
      const victim = join(m.mountpoint, 'victim');
      await writeSynced(victim, noise(4, 5 * MIB));
      const [block] = (await storedInfo(victim, 5 * MIB)).blocks;
      for (let i = 0; i < 5; i++) await writeSynced(join(m.mountpoint, `filler${i}`), noise(20 + i, 8 * MIB));
      await m.umount();
      const file = blockFile(m, block?.hash ?? '');
      await rename(file, join(m.plain, 'away'));
      await m.start();
      expect(await errorCode(readFile(victim))).toBe('EIO');
      expect((await readFile(join(m.mountpoint, 'filler4'))).equals(noise(24, 8 * MIB))).toBe(true);
    });
  });
});

describe('a full disk', () => {
  (isRoot && peer === 'globalfs' ? test : test.skip)(
    'gives ENOSPC to the writer, leaves the rest working, and unlink makes room again',
    async () => {
      const seed = testSeed();
      process.stderr.write(`full disk: GLOBALFS_TEST_SEED=${seed}\n`);
      await withMount({ stateMiB: 96, args: ['--cache-size', '64M'] }, async (m) => {
        const at = (name: string): string => join(m.mountpoint, name);
        const kept = noise(seed, 3 * MIB);
        await writeSynced(at('kept'), kept);
        let code = 'done';
        let filled = 0;
        for (; filled < 60 && code === 'done'; filled++) {
          code = await errorCode(writeSynced(at(`fill${filled}`), noise(seed + 1 + filled, 4 * MIB)));
        }
        expect(code).toBe('ENOSPC');
        expect((await readFile(at('kept'))).equals(kept)).toBe(true);
        expect(await errorCode(stat(at('kept')))).toBe('done');
        for (let i = 0; i < filled; i++) await unlink(at(`fill${i}`));
        // Blocks go in the background; a writer must not have to wait long.
        const again = noise(seed + 1000, 12 * MIB);
        const deadline = performance.now() + 20_000;
        while ((code = await errorCode(writeSynced(at('again'), again))) === 'ENOSPC') {
          if (performance.now() > deadline) break;
          await delay(500);
        }
        expect(code).toBe('done');
        await m.restart();
        expect((await readFile(at('kept'))).equals(kept)).toBe(true);
        expect((await readFile(at('again'))).equals(again)).toBe(true);
        await m.umount();
        expect(await fsckProblems(m)).toBe('');
        await m.start();
      });
    },
  );

  (isRoot && peer === 'globalfs' ? test : test.skip)(
    'spares what was there when a crash follows',
    async () => {
      await withMount({ stateMiB: 96, args: ['--cache-size', '64M'] }, async (m) => {
        const kept = noise(5, 3 * MIB);
        await writeSynced(join(m.mountpoint, 'kept'), kept);
        const filling = `for i in $(seq 60); do head -c 4M /dev/urandom > fill$i || break; done; mkdir d && touch d/f`;
        await shell(filling, { cwd: m.mountpoint, allow: [1] });
        await m.kill();
        await m.start();
        expect((await readFile(join(m.mountpoint, 'kept'))).equals(kept)).toBe(true);
        await shell('rm -rf fill* d', { cwd: m.mountpoint });
        await delay(1000);
        await writeFile(join(m.mountpoint, 'small'), 'works');
        await m.restart();
        expect(await readFile(join(m.mountpoint, 'small'), 'latin1')).toBe('works');
      });
    },
  );
});
