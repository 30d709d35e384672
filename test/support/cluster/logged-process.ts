import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { Reaper } from '../reaper.js';

export interface LoggedProcessSettings {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly reaper: Reaper;
}

const LOG_KEPT_CHARS = 1 << 20;
const EXIT_TIMEOUT_MS = 60_000;
const POLL_MS = 20;

/** A process of the cluster under test: what it prints is kept, and it is ended by its pid. */
export class LoggedProcess {
  readonly pid: number;
  readonly #child: ChildProcess;
  /** Resolves with its exit code, 128 or 137 (SIGKILL). */
  readonly exit: Promise<number>;
  #log = '';
  #code: number | undefined;

  private constructor(child: ChildProcess, pid: number, settings: LoggedProcessSettings) {
    this.#child = child;
    this.pid = pid;
    const keep = (part: Buffer): void => {
      this.#log += part.toString();
      if (this.#log.length > 2 * LOG_KEPT_CHARS) this.#log = this.#log.slice(-LOG_KEPT_CHARS);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    settings.reaper.process(pid);
    this.exit = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#code = code ?? (signal === 'SIGKILL' ? 137 : 128);
        settings.reaper.processGone(pid);
        resolve(this.#code);
      });
    });
  }

  static async start(settings: LoggedProcessSettings): Promise<LoggedProcess> {
    const child = spawn(settings.file, settings.args, {
      env: { ...process.env, ...settings.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    if (child.pid === undefined) throw new Error(`${settings.file}: no process id`);
    return new LoggedProcess(child, child.pid, settings);
  }

  /** Undefined while it runs. */
  get code(): number | undefined {
    return this.#code;
  }

  /** What it printed, the last MiB of it. */
  log(): string {
    return this.#log;
  }

  /** SIGSTOP: its connections stay open, nothing is answered. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** SIGKILL, also for a frozen one; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exit;
  }

  signal(name: 'SIGTERM' | 'SIGINT'): void {
    this.#child.kill(name);
  }

  /** @throws Error when it has not ended by itself after a minute; it is killed then */
  async ended(): Promise<number> {
    const timer = setTimeout(() => {
      this.#log += `\n[test] still running after ${EXIT_TIMEOUT_MS} ms: killed`;
      this.#child.kill('SIGKILL');
    }, EXIT_TIMEOUT_MS);
    const code = await this.exit;
    clearTimeout(timer);
    return code;
  }

  /** Waits until `ready` says so. @throws Error with the log when it ends before, or time is up */
  async until(what: string, ready: () => Promise<boolean> | boolean, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!(await ready())) {
      const how = this.#code !== undefined ? `it ended with exit code ${this.#code}` : '';
      const late = performance.now() > deadline ? `not after ${timeoutMs} ms` : '';
      if (how !== '' || late !== '') throw new Error(`${what}: ${how}${late}\n${this.#log.slice(-4000)}`);
      await delay(POLL_MS);
    }
  }
}
