import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cli } from '../mounted.js';
import type { Reaper } from '../reaper.js';
import { LoggedProcess } from './logged-process.js';

export interface CoordinatorSettings {
  /** Holds its configuration and its state. */
  readonly dir: string;
  readonly cluster: string;
  readonly port: number;
  /** Where others are told to find it. */
  readonly advertise: string;
  readonly httpPort: number;
  /** The YAML of `store`, in one line. */
  readonly store: string;
  readonly sessionTtl: string;
  readonly reaper: Reaper;
}

/** On a busy machine; a new leader loads what the store has first. */
const READY_TIMEOUT_MS = 60_000;

/** `globalfs coordinator start`, that can be killed, frozen, and started again on the same state. */
export class CoordinatorProcess {
  readonly name: string;
  readonly #settings: CoordinatorSettings;
  #process: LoggedProcess | undefined;
  #earlierLog = '';

  constructor(name: string, settings: CoordinatorSettings) {
    this.name = name;
    this.#settings = settings;
  }

  get port(): number {
    return this.#settings.port;
  }

  get address(): string {
    return `127.0.0.1:${this.#settings.port}`;
  }

  /** What it tells others. */
  get advertise(): string {
    return this.#settings.advertise;
  }

  get isRunning(): boolean {
    return this.#process !== undefined && this.#process.code === undefined;
  }

  log(): string {
    return this.#earlierLog + (this.#process?.log() ?? '');
  }

  /** Resolves when it leads, or stands by with a warm copy. */
  async start(): Promise<void> {
    const { dir, cluster, advertise, httpPort, store, sessionTtl, reaper } = this.#settings;
    await mkdir(dir, { recursive: true });
    const config = join(dir, 'coordinator.yaml');
    const lines = [
      `cluster: ${cluster}`,
      `listen: ${this.address}`,
      `advertise: ${advertise}`,
      `http: 127.0.0.1:${httpPort}`,
      `state: ${join(dir, 'state')}`,
      `store: ${store}`,
      `sessionTtl: ${sessionTtl}`,
    ];
    await writeFile(config, `${lines.join('\n')}\n`);
    this.#earlierLog = this.log();
    const args = [cli, 'coordinator', 'start', '--config', config];
    const started = await LoggedProcess.start({ file: process.execPath, args, reaper });
    this.#process = started;
    await started.until(`coordinator ${this.name}`, () => this.isReady(), READY_TIMEOUT_MS);
  }

  async isReady(): Promise<boolean> {
    try {
      const signal = AbortSignal.timeout(1000);
      return (await fetch(`http://127.0.0.1:${this.#settings.httpPort}/readyz`, { signal })).ok;
    } catch {
      return false; // not yet, or not any more
    }
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  freeze(): void {
    this.#process?.freeze();
  }

  thaw(): void {
    this.#process?.thaw();
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(): Promise<number> {
    this.#process?.signal('SIGTERM');
    return (await this.#process?.ended()) ?? 0;
  }
}
