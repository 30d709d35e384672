import { describe, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LmdbStore } from '../../src/coordinator/index.js';
import { type Ino, silentLogger, systemClock } from '../../src/core/index.js';
import { EMPTY_MANIFEST } from '../../src/namespace/index.js';
import { DirectoryStore } from '../../src/sites/index.js';
import { BlockStore, type ContentInode, NodeContentCache } from '../../src/transfer/index.js';

const DIST = process.env.GLOBALFS_TEST_DIST ?? fileURLToPath(new URL('../../dist', import.meta.url));
const CHILD = fileURLToPath(new URL('crash-child.mjs', import.meta.url));
const KILLS = 10;

interface Facts {
  readonly inodes: Map<number, ContentInode>;
  /** What each file holds; undefined while it was being written when the child was killed. */
  readonly contents: Map<number, { fill: number; size: number } | undefined>;
}

function readJournal(base: string): Facts {
  const facts: Facts = { inodes: new Map(), contents: new Map() };
  for (const line of fs.readFileSync(join(base, 'journal'), 'utf8').split('\n')) {
    const [what, ...rest] = line.split(' ');
    const [ino = 0, fill = 0, size = 0] = rest.map(Number);
    if (what === '!') throw new Error(`the child reports: ${line}`);
    if (what === 'w') {
      if (!facts.inodes.has(ino)) {
        facts.inodes.set(ino, { ino: ino as Ino, version: 0, manifest: EMPTY_MANIFEST, size: 0 });
      }
      facts.contents.set(ino, undefined);
    }
    if (what === 'c') facts.contents.set(ino, { fill, size });
    if (what === 'commit') {
      const sealed = JSON.parse(rest.join(' ')) as ContentInode & { baseVersion: number };
      facts.inodes.set(sealed.ino, { ...sealed, version: sealed.baseVersion + 1 });
    }
  }
  return facts;
}

async function runAndKill(base: string, firstIno: number, seed: number): Promise<void> {
  const child = spawn(process.execPath, [CHILD, DIST, base, String(firstIno), String(seed)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const journal = join(base, 'journal');
  const readyAt = fs.existsSync(journal) ? fs.statSync(journal).size : 0;
  while (!fs.existsSync(journal) || fs.statSync(journal).size <= readyAt) {
    if (child.exitCode !== null) throw new Error(`the child ended by itself: ${errors}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await new Promise((resolve) => setTimeout(resolve, 20 + (seed % 400)));
  child.kill('SIGKILL');
  await exited;
}

/** What the next start does; returns what then is wrong. */
async function recoverAndCheck(base: string, facts: Facts): Promise<string[]> {
  const store = new DirectoryStore(join(base, 'site'));
  const index = LmdbStore.open({ path: join(base, 'index') });
  const commits = facts.inodes;
  const cache = new NodeContentCache({
    directory: join(base, 'node'),
    blocks: new BlockStore(store, { compression: 'none' }),
    index,
    clock: systemClock,
    logger: silentLogger,
    cacheBytes: 64 * 1024 * 1024,
    commit: (sealed) => {
      commits.set(sealed.ino, { ...sealed, version: sealed.baseVersion + 1 });
      return Promise.resolve('committed');
    },
  });
  await cache.start();
  for (const { ino, stat } of cache.recover()) {
    const inode = facts.inodes.get(ino);
    if (inode === undefined) await cache.discard(ino);
    else cache.resume({ ...inode, size: stat.size });
  }
  await cache.flushAll();
  const wrong: string[] = [];
  for (const [ino, expected] of facts.contents) {
    if (expected === undefined) continue;
    for (const evicted of [false, true]) {
      const inode = facts.inodes.get(ino);
      if (inode === undefined) throw new Error(`no inode ${ino}`);
      if (evicted) await cache.discard(inode.ino);
      const content = await cache.open(inode, 'read');
      await content.ensure(0, expected.size);
      const bytes = Buffer.alloc(content.stat().size);
      fs.readSync(content.fd, bytes, 0, bytes.length, 0);
      const right = Buffer.compare(bytes, Buffer.alloc(expected.size, expected.fill)) === 0;
      if (!right) wrong.push(`inode ${ino}: ${bytes.length} of ${expected.size} bytes, evicted ${evicted}`);
      cache.close(content, 'read');
    }
  }
  await cache.stop();
  await index.close();
  store.close();
  return wrong;
}

describe('kill -9 in the midst of writing and sealing', () => {
  const seed = Number(process.env.GLOBALFS_TEST_SEED ?? Date.now() % 1_000_000);

  test(`everything that was closed is there after the next start, ${KILLS} times (seed ${seed})`, async () => {
    const base = fs.mkdtempSync(join(tmpdir(), 'gfs-crash-'));
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        fs.rmSync(join(base, 'journal'), { force: true });
        await runAndKill(base, 1 + kill * 10_000, seed + kill * 7919);
        const facts = readJournal(base);
        expect({ seed, kill, wrong: await recoverAndCheck(base, facts) }).toEqual({ seed, kill, wrong: [] });
      }
    } finally {
      fs.rmSync(base, { recursive: true });
    }
  });
});
