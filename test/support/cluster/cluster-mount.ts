import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cli, isMounted } from '../mounted.js';
import type { Reaper } from '../reaper.js';
import { run } from '../run.js';
import type { TcpProxy } from '../tcp-proxy.js';
import type { TurnCounter } from './turn-counter.js';
import { LoggedProcess } from './logged-process.js';

export interface ClusterMountSettings {
  /** Holds its configuration, state and mount point. */
  readonly dir: string;
  readonly site: string;
  /** One in front of each coordinator. */
  readonly proxies: readonly TcpProxy[];
  /** Behind each proxy. */
  readonly counters: readonly TurnCounter[];
  /** Lines of globalfs.yaml besides those that every mount has, such as `unreachable: 5s`. */
  readonly config: readonly string[];
  /** Words of `mount` besides those that every mount has. */
  readonly args: readonly string[];
  readonly reaper: Reaper;
}

const SERVE_TIMEOUT_MS = 60_000;
/** What `mount -f` prints once it serves. */
const SERVING = 'GlobalFS is mounted at ';
/** Somebody may still be leaving: EBUSY passes. */
const UMOUNT_TRIES = 50;

/** A mount of the cluster: a process, a cache and a network of its own. */
export class ClusterMount {
  readonly name: string;
  readonly #settings: ClusterMountSettings;
  #process: LoggedProcess | undefined;
  #earlierLog = '';

  constructor(name: string, settings: ClusterMountSettings) {
    this.name = name;
    this.#settings = settings;
  }

  /** The mount point. */
  get dir(): string {
    return join(this.#settings.dir, 'mnt');
  }

  /**
   * A directory of the filesystem for workers: `prepareWork` makes it. While nothing is mounted its path is a loop
   * of symbolic links, an error that nothing else gives, so that nobody takes the disk below for the mount.
   */
  get workDir(): string {
    return join(this.dir, 'work');
  }

  get stateDir(): string {
    return join(this.#settings.dir, 'state');
  }

  get configFile(): string {
    return join(this.#settings.dir, 'globalfs.yaml');
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  log(): string {
    return this.#earlierLog + (this.#process?.log() ?? '');
  }

  /** Resolves when it serves. */
  async start(): Promise<void> {
    const { site, proxies, config, args, reaper } = this.#settings;
    // What a killed process left there cannot be looked at.
    if (!(await isMounted(this.dir))) {
      await mkdir(this.dir, { recursive: true });
      await symlink('work', this.workDir).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
    }
    await mkdir(this.stateDir, { recursive: true });
    const addresses = proxies.map(({ port }) => `127.0.0.1:${port}`).join(', ');
    const lines = [`coordinators: [${addresses}]`, `site: ${site}`, `member: ${this.name}`, ...config];
    await writeFile(this.configFile, `${lines.join('\n')}\n`);
    reaper.mount(this.dir);
    this.#earlierLog = this.log();
    const words = ['mount', '-f', '--config', this.configFile, '--state', this.stateDir, ...args, this.dir];
    const started = await LoggedProcess.start({ file: process.execPath, args: [cli, ...words], reaper });
    this.#process = started;
    await started.until(
      `mount ${this.name}`,
      async () => started.log().includes(SERVING) && (await isMounted(this.dir)),
      SERVE_TIMEOUT_MS,
    );
  }

  async prepareWork(): Promise<void> {
    await run('mkdir', ['-p', this.workDir]);
  }

  /** Unmounts as a user would, and waits for the process to end with exit code 0. */
  async umount(): Promise<void> {
    const served = this.#process;
    if (served === undefined) return;
    for (let tries = 0; ; tries++) {
      const result = await run('umount', [this.dir], { allow: [1, 32] });
      if (result.code === 0) break;
      if (tries === UMOUNT_TRIES) throw new Error(`umount of ${this.name}: ${result.stderr}`);
      await delay(100);
    }
    const code = await served.ended();
    if (code !== 0) {
      throw new Error(
        `after umount, mount ${this.name} ended with exit code ${code}\n${this.log().slice(-4000)}`,
      );
    }
  }

  /** SIGKILL; what is left of the mount point stays for the next `start` to replace. */
  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  freeze(): void {
    this.#process?.freeze();
  }

  thaw(): void {
    this.#process?.thaw();
  }

  /** What is between it and the coordinators. */
  get network(): readonly { close(): Promise<void> }[] {
    return [...this.#settings.proxies, ...this.#settings.counters];
  }

  /** How often it has spoken to a coordinator after an answer: round trips of who does one thing after the other. */
  get turns(): number {
    return this.#settings.counters.reduce((sum, { turns }) => sum + turns, 0);
  }

  /** Its connections to every coordinator are reset, new ones too. */
  cut(): void {
    for (const proxy of this.#settings.proxies) proxy.cut();
  }

  /** Nothing comes through to any coordinator, though connections stay. */
  stall(): void {
    for (const proxy of this.#settings.proxies) proxy.stall();
  }

  heal(): void {
    for (const proxy of this.#settings.proxies) proxy.heal();
  }
}
