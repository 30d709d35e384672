import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { run } from '../test/support/run.js';
import { dropNames } from './contestants.js';
import type { Scale, Tools } from './workload.js';

/** A million files, made or deleted by a program. */
const TIMEOUT_MS = 15 * 60_000;

/** What programs read of the user's settings must not matter. */
const env = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' };

/** Compiles the load generator, and makes a place for the fixtures. */
export async function makeTools(base: string, loadSource: string, scale: Scale): Promise<Tools> {
  const program = join(base, 'load');
  const fixtures = join(base, 'fixtures');
  mkdirSync(fixtures);
  await run('cc', ['-O2', '-o', program, loadSource]);
  const start = (file: string, args: string[]): ReturnType<typeof run> =>
    run(file, args, { env, timeoutMs: TIMEOUT_MS });
  return {
    scale,
    fixtures,
    load: async (command, ...args) => Number((await start(program, [command, ...args.map(String)])).stdout),
    timed: async (file, args) => {
      const startMs = performance.now();
      await start(file, args);
      return (performance.now() - startMs) / 1000;
    },
    run: async (file, args) => {
      await start(file, args);
    },
    forgetNames: async (contestant) => {
      if (dropNames()) return;
      // Not root: a new mount knows nothing either, though its process has to warm up again.
      await contestant.stop();
      await contestant.start();
    },
  };
}
