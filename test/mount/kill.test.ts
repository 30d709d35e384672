import { expect, test } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { compileC } from '../support/compile.js';
import { fsckProblems } from '../support/globalfs.js';
import { peer, withMount, type Mounted } from '../support/mounted.js';
import { Probe } from '../support/probe.js';
import { Random, testSeed } from '../support/random-steps.js';

/** 50 rounds of about 2.5 s, six of them longer than the flush interval. */
const KILLS = Number(process.env.GLOBALFS_TEST_KILLS ?? 50);
const LONG_EVERY = 9;
/** `--flush-interval`'s default (5 s), and a second for a machine that is busy with other tests. */
const FLUSHED_MS = 6_000;
const FSCK_EVERY = 5;
const WRITERS = 2;
const ROUNDS_KEPT = 3;

interface Expected {
  seed: string;
  bytes: number;
  /** When it was closed without an fsync; undefined when it was fsynced. */
  closedMs?: number;
  /** An append may have gone on. */
  grows: boolean;
}

/** What the writers said is durable. */
class Ledger {
  readonly files = new Map<string, Expected>();
  readonly gone = new Set<string>();

  heard(dir: string, line: string): void {
    const [word, name = '', seed = '', bytes = '0'] = line.split(' ');
    const path = `${dir}/${name}`;
    if (word === 'synced') this.files.set(path, { seed, bytes: Number(bytes), grows: false });
    if (word === 'grown') this.files.set(path, { seed, bytes: Number(bytes), grows: true });
    if (word === 'closed') {
      this.files.set(path, { seed, bytes: Number(bytes), grows: false, closedMs: performance.now() });
    }
    if (word === 'removing') this.files.delete(path);
    if (word === 'removed') this.gone.add(path);
  }

  /** Of a whole directory that was removed on purpose. */
  forget(dir: string): void {
    for (const path of this.files.keys()) if (path.startsWith(`${dir}/`)) this.files.delete(path);
    for (const path of this.gone) if (path.startsWith(`${dir}/`)) this.gone.delete(path);
  }

  /** What was closed too late before this kill may be lost, or be there in part; nobody knows. */
  killedAt(ms: number): void {
    for (const [path, file] of this.files) {
      if (file.closedMs === undefined) continue;
      if (ms - file.closedMs < FLUSHED_MS) this.files.delete(path);
      else delete file.closedMs;
    }
  }
}

/** Starts a writer in a directory of its own; what it says goes to the ledger. */
async function startWriter(
  m: Mounted,
  program: string,
  name: string,
  seed: number,
  ledger: Ledger,
): Promise<ChildProcess> {
  await mkdir(join(m.mountpoint, name));
  const child = spawn(program, [join(m.mountpoint, name), String(seed)], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  createInterface({ input: child.stdout }).on('line', (line) => ledger.heard(name, line));
  return child;
}

async function ended(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
}

/** Every claim of the ledger against what is there now; and every file of the tree must be readable. */
async function verify(m: Mounted, ledger: Ledger): Promise<string[]> {
  const probe = await Probe.start(m.mountpoint);
  try {
    const wrong: string[] = [];
    for (const [path, file] of ledger.files) {
      const answer = await probe.ask(`check ${path} ${file.seed} ${file.bytes}`);
      const [, verdict, size] = /^= (\w+) size=(\d+)/.exec(answer) ?? [];
      const fits = file.grows ? Number(size) >= file.bytes : Number(size) === file.bytes;
      if (verdict !== 'good' || !fits) wrong.push(`${path} (${file.bytes} bytes): ${answer}`);
    }
    for (const path of ledger.gone) {
      const answer = await probe.ask(`lstat ${path}`);
      if (answer !== '! ENOENT') wrong.push(`${path} was removed: ${answer}`);
    }
    const tree = (await probe.ask('tree .')).split('\t');
    wrong.push(...tree.filter((entry) => / (unreadable|unlistable)=| E[A-Z]+$/.test(entry)));
    return wrong;
  } finally {
    await probe.end();
  }
}

/** One life of the mount: work until the kill, start again, check. */
async function round(
  m: Mounted,
  program: string,
  index: number,
  random: Random,
  ledger: Ledger,
): Promise<string[]> {
  const seeds = Array.from({ length: WRITERS }, (_, w) => index * WRITERS + w + 1);
  const writers = await Promise.all(seeds.map((seed) => startWriter(m, program, `w${seed}`, seed, ledger)));
  await delay(index % LONG_EVERY === LONG_EVERY - 1 ? FLUSHED_MS + random.int(1500) : 20 + random.int(1000));
  // Old work goes, so that checking stays quick; what its removal leaves behind is fsck's affair.
  for (const seed of seeds.map((s) => s - ROUNDS_KEPT * WRITERS).filter((s) => s > 0)) {
    ledger.forget(`w${seed}`);
    await rm(join(m.mountpoint, `w${seed}`), { recursive: true });
  }
  const killedMs = performance.now();
  await m.kill();
  await Promise.all(writers.map(ended));
  ledger.killedAt(killedMs);
  await m.start();
  return verify(m, ledger);
}

test('a mount that is killed at any moment loses nothing that was fsynced, nor what was closed an interval ago', async () => {
  const seed = testSeed();
  process.stderr.write(`kill: GLOBALFS_TEST_SEED=${seed}\n`);
  const random = new Random(seed);
  const program = await compileC('test/support/crash-writer.c');
  await withMount({}, async (m) => {
    const ledger = new Ledger();
    for (let index = 0; index < (peer === 'plain' ? 3 : KILLS); index++) {
      const wrong = await round(m, program, index, random, ledger);
      expect({ seed, round: index, wrong: wrong.slice(0, 10), count: wrong.length }).toEqual({
        seed,
        round: index,
        wrong: [],
        count: 0,
      });
      if (index % FSCK_EVERY !== FSCK_EVERY - 1 || peer !== 'globalfs') continue;
      await m.umount();
      expect(await fsckProblems(m)).toBe('');
      await m.start();
    }
  });
}, 400_000);
