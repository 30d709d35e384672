import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { LoggedProcess } from '../../test/support/cluster/logged-process.js';
import type { Reaper } from '../../test/support/reaper.js';

/** What the benchmarks start of GlobalFS, and how. */
export interface Program {
  /** Another build's cli/main.js, or this one's. */
  readonly cli: string;
  /** For the processes that serve, such as `--cpu-prof`. */
  readonly nodeArguments: readonly string[];
  readonly reaper: Reaper;
}

export function startProgram(program: Program, args: readonly string[]): Promise<LoggedProcess> {
  const { cli, nodeArguments, reaper } = program;
  return LoggedProcess.start({ file: process.execPath, args: [...nodeArguments, cli, ...args], reaper });
}

/** SIGTERM, and until it is gone. @throws Error when it ends in another way than with exit code 0 */
export async function endProgram(what: string, served: LoggedProcess | undefined): Promise<void> {
  if (served === undefined || served.code !== undefined) return;
  served.signal('SIGTERM');
  const code = await served.ended();
  if (code !== 0) throw new Error(`${what} ended with exit code ${code}:\n${served.log().slice(-4000)}`);
}

/** Sizes of /proc/PID/status in bytes: `anonymous` is what the process has of its own. */
export function anonymousBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1] ?? NaN) * 1024;
}

const POLL_MS = 100;

/** @throws Error when it does not answer in time, or `served` ends */
export async function untilReady(url: string, served: LoggedProcess, withinMs: number): Promise<void> {
  const answers = async (): Promise<boolean> => {
    const answer = await fetch(url, { signal: AbortSignal.timeout(1000) }).catch(() => undefined); // not yet
    if (answer?.ok !== true) await delay(POLL_MS);
    return answer?.ok === true;
  };
  await served.until(url, answers, withinMs);
}
