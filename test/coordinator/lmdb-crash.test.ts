import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { LmdbStore } from '../../src/coordinator/lmdb-store.js';
import { type Ino, type Name, ROOT_INO, timeNs } from '../../src/core/index.js';
import { Namespace, checkNamespace } from '../../src/namespace/index.js';
import { transpile } from './transpile.js';

const CHILD = fileURLToPath(new URL('kill-child.mjs', import.meta.url));
const RUNS = 12;

let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'globalfs-kill-'));
  transpile(join(dir, 'out'), ['core', 'namespace', 'coordinator', 'leases']);
});

afterAll(() => rmSync(dir, { recursive: true }));

/** Runs the child on the store and kills it after a while. @returns how many files it had flushed by then */
async function killedRun(path: string, run: string, afterMs: number): Promise<number> {
  const child = spawn(process.execPath, [CHILD, join(dir, 'out'), path, run], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let flushed = 0;
  const lines = createInterface({ input: child.stdout });
  const started = once(lines, 'line');
  lines.on('line', (line) => (flushed = Number(line)));
  const ended = once(lines, 'close');
  await Promise.race([started, ended]);
  await delay(afterMs);
  child.kill('SIGKILL');
  await ended;
  return flushed;
}

describe('a process killed while it commits', () => {
  test(`leaves a sound store that has all that was flushed, ${RUNS} times`, async () => {
    const path = join(dir, 'store');
    for (let run = 0; run < RUNS; run++) {
      const afterMs = Math.floor(Math.random() * 120);
      const flushed = await killedRun(path, String(run), afterMs);
      const context = `run ${run}, killed ${afterMs} ms after its first flush`;
      expect([context, flushed > 0]).toEqual([context, true]);
      const kv = LmdbStore.open({ path });
      const namespace = await Namespace.open({ kv, root: { uid: 0, gid: 0 } });
      const { problems } = await checkNamespace(kv, { repair: false, timeNs: timeNs(0n) });
      expect([context, problems]).toEqual([context, []]);
      const to = namespace.lookup(ROOT_INO, `to-${run}` as Name)?.ino as Ino;
      for (let file = 0; file < flushed; file++) {
        const found = namespace.lookup(to, `f${file}` as Name);
        expect([context, file, found !== undefined]).toEqual([context, file, file % 3 !== 0]);
      }
      await namespace.close();
    }
  });
});
