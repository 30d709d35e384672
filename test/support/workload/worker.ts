import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { compileC } from '../compile.js';
import type { Reaper } from '../reaper.js';

/** What a worker said of an operation. Times are nanoseconds of CLOCK_MONOTONIC. */
export interface Answer {
  /** What was asked. */
  readonly words: string;
  /** `ok`; an errno's name; `LOST` when the worker ended, or was killed, before it answered. */
  readonly outcome: string;
  readonly result: string;
  readonly beganNs: number;
  /** Infinity when lost. */
  readonly endedNs: number;
}

export interface WorkerSettings {
  /** The directory it works in. */
  readonly dir: string;
  /** For people: `m1.w0`. */
  readonly name: string;
  readonly reaper: Reaper;
  /** An operation that takes longer is given up, and the worker killed. */
  readonly timeoutMs: number;
}

interface Asked {
  /** The answer when none comes. */
  readonly lost: Answer;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (answer: Answer) => void;
}

/** For a process to end that nothing keeps. */
const KILLED_MS = 2_000;

/** The same clock as the workers' (libuv's hrtime is CLOCK_MONOTONIC). */
export const nowNs = (): number => Number(process.hrtime.bigint());

/**
 * A process that works on a mount (see worker.c), so that what hangs there hangs nobody else. One that is
 * killed in the middle of a call ends only when the mount answers or is gone: it is not waited for.
 */
export class Worker {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #settings: WorkerSettings;
  readonly #asked = new Map<number, Asked>();
  #next = 0;
  #alive = true;

  private constructor(program: string, settings: WorkerSettings) {
    this.name = settings.name;
    this.#settings = settings;
    const child = spawn(program, [settings.dir], { cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child = child;
    child.stdin.on('error', () => undefined); // its end is reported below
    createInterface({ input: child.stdout }).on('line', (line) => this.#heard(line));
    if (child.pid !== undefined) settings.reaper.process(child.pid);
    child.once('error', () => this.#gone());
    child.once('exit', () => {
      if (child.pid !== undefined) settings.reaper.processGone(child.pid);
    });
    child.once('close', () => this.#gone());
  }

  static async start(settings: WorkerSettings): Promise<Worker> {
    return new Worker(await compileC('test/support/workload'), settings);
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** @param words an operation of operations.c with its arguments; never rejects */
  ask(...words: (string | number)[]): Promise<Answer> {
    const beganNs = nowNs();
    const line = words.join(' ');
    const lost = { words: line, outcome: 'LOST', result: '', beganNs, endedNs: Infinity };
    if (!this.#alive) return Promise.resolve(lost);
    const id = this.#next++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.kill(), this.#settings.timeoutMs);
      this.#asked.set(id, { lost, timer, resolve });
      this.#child.stdin?.write(`${id} ${line}\n`);
    });
  }

  #heard(line: string): void {
    const [id, began, ended, outcome = '', result = ''] = line.split(' ');
    const asked = this.#asked.get(Number(id));
    if (asked === undefined) return; // it was given up
    this.#asked.delete(Number(id));
    clearTimeout(asked.timer);
    const { words } = asked.lost;
    asked.resolve({ words, outcome, result, beganNs: Number(began), endedNs: Number(ended) });
  }

  #gone(): void {
    this.#alive = false;
    for (const { lost, timer, resolve } of this.#asked.values()) {
      clearTimeout(timer);
      resolve(lost);
    }
    this.#asked.clear();
  }

  /** SIGKILL. What it was doing is lost at once, though the process may end later. */
  kill(): void {
    this.#child.kill('SIGKILL');
    this.#gone();
  }

  /**
   * Ends it between operations. One that does not end within its time is killed; if a call into the mount keeps
   * it even then, it is left to the reaper, which ends the mount.
   */
  async end(): Promise<void> {
    const isOver = (): boolean => this.#child.exitCode !== null || this.#child.signalCode !== null;
    if (isOver()) return;
    const closed = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), this.#alive ? this.#settings.timeoutMs : 0);
    const late = this.#alive ? this.#settings.timeoutMs + KILLED_MS : KILLED_MS;
    await Promise.race([closed, delay(late, undefined, { ref: false })]);
    clearTimeout(timer);
  }
}
