import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ControlClient } from '../src/cli/control-client.js';
import type { Reaper } from '../test/support/reaper.js';
import { run } from '../test/support/run.js';

export type ContestantName = 'plain' | 'bindfs' | 'globalfs';

const START_TIMEOUT_MS = 20_000;
/** Sealing a gigabyte takes seconds; a disk that is shared may be slow. */
const SETTLE_TIMEOUT_MS = 300_000;
const POLL_MS = 50;
/** A process that used less of this window than a fiftieth has no work left. */
const IDLE_WINDOW_MS = 200;
const IDLE_CPU_MS = 4;
const NONE: Readonly<Record<string, number>> = {};

/** One of those that are compared. All of them keep their files on the same disk. */
export interface Contestant {
  readonly name: ContestantName;
  /** Where the load runs. */
  readonly directory: string;
  /** The process that serves it. */
  readonly pid: number | undefined;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Resolves when everything that was written is where it belongs: sealed, and on the disk. */
  stored(): Promise<void>;
  /** Requests that reached the process so far, by opcode; empty where nobody counts them. */
  requests(): Promise<Readonly<Record<string, number>>>;
}

export class PlainDirectory implements Contestant {
  readonly name = 'plain';
  readonly pid = undefined;
  readonly directory: string;

  constructor(base: string) {
    this.directory = join(base, 'plain');
  }

  start(): Promise<void> {
    mkdirSync(this.directory, { recursive: true });
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  stored(): Promise<void> {
    return syncDisk(this.directory);
  }

  requests(): Promise<Readonly<Record<string, number>>> {
    return Promise.resolve(NONE);
  }
}

/** Runs a process that serves a mount in the foreground, and takes it down again. */
abstract class MountedContestant implements Contestant {
  abstract readonly name: ContestantName;
  readonly directory: string;
  /** What the mount keeps its files in. */
  protected readonly backing: string;
  readonly #reaper: Reaper;
  #child: ChildProcess | undefined;
  #said = '';

  constructor(base: string, name: string, reaper: Reaper) {
    this.directory = join(base, `${name}-mount`);
    this.backing = join(base, name);
    this.#reaper = reaper;
    reaper.mount(this.directory);
  }

  protected abstract command(): string[];
  abstract stored(): Promise<void>;
  abstract requests(): Promise<Readonly<Record<string, number>>>;

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    mkdirSync(this.directory, { recursive: true });
    mkdirSync(this.backing, { recursive: true, mode: 0o700 });
    const [program = '', ...args] = this.command();
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    const keep = (part: Buffer): void => {
      this.#said = (this.#said + part.toString()).slice(-10_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (error) => keep(Buffer.from(String(error))));
    if (child.pid !== undefined) this.#reaper.process(child.pid);
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    while (!isMounted(this.directory)) {
      if (child.exitCode !== null || child.pid === undefined || performance.now() > deadlineMs) {
        throw new Error(`${this.name} does not start:\n${this.#said}`);
      }
      await delay(POLL_MS);
    }
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined) return;
    this.#child = undefined;
    const ended = child.exitCode === null ? once(child, 'exit') : Promise.resolve();
    child.kill('SIGTERM');
    await ended;
    this.#reaper.processGone(child.pid);
  }
}

export class Bindfs extends MountedContestant {
  readonly name = 'bindfs';

  constructor(base: string, reaper: Reaper) {
    super(base, 'bindfs', reaper);
  }

  protected command(): string[] {
    return ['bindfs', '-f', this.backing, this.directory];
  }

  stored(): Promise<void> {
    return syncDisk(this.backing);
  }

  requests(): Promise<Readonly<Record<string, number>>> {
    return Promise.resolve(NONE);
  }
}

export class GlobalFs extends MountedContestant {
  readonly name = 'globalfs';
  readonly #cli: string;
  readonly #nodeArguments: readonly string[];
  readonly #control: ControlClient;

  constructor(base: string, reaper: Reaper, cli: string, nodeArguments: readonly string[]) {
    super(base, 'globalfs', reaper);
    this.#cli = cli;
    this.#nodeArguments = nodeArguments;
    this.#control = new ControlClient(this.backing);
  }

  protected command(): string[] {
    const mount = ['mount', '-f', '--state', this.backing, this.directory];
    return [process.execPath, ...this.#nodeArguments, this.#cli, ...mount];
  }

  override async start(): Promise<void> {
    await super.start();
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        await this.#control.status();
        return;
      } catch (thrown) {
        if (performance.now() > deadlineMs) throw thrown;
        await delay(POLL_MS);
      }
    }
  }

  async stored(): Promise<void> {
    const deadlineMs = performance.now() + SETTLE_TIMEOUT_MS;
    while ((await this.#control.status()).staged.files > 0) {
      if (performance.now() > deadlineMs) throw new Error('globalfs is not done with its staged files');
      await delay(POLL_MS);
    }
    await syncDisk(this.backing);
  }

  async requests(): Promise<Readonly<Record<string, number>>> {
    return (await this.#control.status()).requests;
  }
}

/** Writes back what is dirty on the filesystem of this directory. */
async function syncDisk(directory: string): Promise<void> {
  await run('sync', ['-f', directory], { timeoutMs: SETTLE_TIMEOUT_MS });
}

function isMounted(directory: string): boolean {
  const table = readFileSync('/proc/self/mountinfo', 'latin1');
  return table.split('\n').some((line) => line.split(' ')[4] === directory);
}

/** Resolves when the serving process has no work left: what it does in the background would burden the next. */
export async function untilIdle({ pid }: Pick<Contestant, 'pid'>): Promise<void> {
  if (pid === undefined) return;
  const deadlineMs = performance.now() + SETTLE_TIMEOUT_MS;
  for (let before = cpuMs(pid); performance.now() < deadlineMs;) {
    await delay(IDLE_WINDOW_MS);
    const now = cpuMs(pid);
    if (now - before <= IDLE_CPU_MS) return;
    before = now;
  }
}

/** CPU time of a process so far, all its threads, user and system; 0 where there is none. */
export function cpuMs(pid: number | undefined): number {
  if (pid === undefined) return 0;
  const threads = readdirSync(`/proc/${pid}/task`);
  // First field: time on a CPU, in ns (schedstat, kernel's Documentation/scheduler/sched-stats.rst).
  const ns = threads.map((tid) =>
    Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'latin1').split(' ')[0]),
  );
  return ns.reduce((sum, one) => sum + one, 0) / 1e6;
}

/**
 * The kernel forgets names and inodes that nobody uses, of all filesystems, so that the next `stat` is a
 * first one. False where that is not ours to ask for (it takes root).
 */
export function dropNames(): boolean {
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '2');
    return true;
  } catch (thrown) {
    if (['EACCES', 'EPERM', 'EROFS'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return false;
    throw thrown;
  }
}
