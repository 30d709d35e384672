import { afterAll } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Membership } from './cluster/shared-servers.js';
import { Reaper } from './reaper.js';
import { commandLine, run } from './run.js';

export const projectDir = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '');
/** The command line under test; `GLOBALFS_TEST_CLI` names another build's `cli/main.js`. */
export const cli = process.env.GLOBALFS_TEST_CLI ?? join(projectDir, 'dist/cli/main.js');

/**
 * What the tests run on. `globalfs` is the real thing, on a node of its own; `cluster` is the same as a mount of
 * a cluster (etcd, and Ceph RGW as S3). `plain` (a directory) and `bindfs` (a C filesystem that passes
 * everything on) are stand-ins by which the tests themselves are checked.
 */
export type Peer = 'globalfs' | 'cluster' | 'bindfs' | 'plain';
export const peer = (process.env.GLOBALFS_TEST_PEER ?? 'globalfs') as Peer;
/** Not a stand-in. */
export const isGlobalfs = peer === 'globalfs' || peer === 'cluster';
export const isRoot = process.getuid?.() === 0;

/** Only where it is needed: it brings the S3 client with it. */
const sharedServers = async () => import('./cluster/shared-servers.js');
if (peer === 'cluster') afterAll(async () => (await sharedServers()).endSharedServers());

const SERVE_TIMEOUT_MS = 20_000;
const EXIT_TIMEOUT_MS = 30_000;
const LOG_KEPT_CHARS = 1 << 20;
/** What `mount -f` prints once it serves. */
const SERVING = 'GlobalFS is mounted at ';

export interface MountSettings {
  /** Words after `mount -f --state DIR`, before the mount point. */
  args?: string[];
  env?: Record<string, string>;
  /** Mounts as this user (needs root to become it), through fusermount3. */
  asUser?: number;
  /** Puts the state on a tmpfs of this size, to see what a full disk does (needs root). */
  stateMiB?: number;
}

export interface Mounted {
  readonly mountpoint: string;
  readonly stateDir: string;
  /** A plain directory on the same disk, for what the mount is compared with. */
  readonly plain: string;
  /** 0 where no process serves (the plain stand-in). */
  readonly pid: number;
  /** What the serving processes printed, the last MiB of it. */
  log(): string;
  start(): Promise<void>;
  /** Unmounts as a user would, and waits for the process to end with exit code 0. */
  umount(): Promise<void>;
  restart(): Promise<void>;
  /** SIGKILL; what is left of the mount point stays for the next `start` to replace. */
  kill(): Promise<void>;
  /** SIGTERM or SIGINT; resolves with the exit code. */
  signal(name: 'SIGTERM' | 'SIGINT'): Promise<number>;
}

class MountedProcess implements Mounted {
  readonly mountpoint: string;
  readonly stateDir: string;
  readonly plain: string;
  readonly #settings: MountSettings;
  readonly #reaper: Reaper;
  readonly #backing: string;
  readonly #base: string;
  /** Of a cluster's mount: made at the first start. */
  #membership: Membership | undefined;
  #child: ChildProcess | undefined;
  #exit: Promise<number> = Promise.resolve(0);
  #log = '';

  constructor(base: string, settings: MountSettings, reaper: Reaper) {
    this.mountpoint = join(base, 'mnt');
    this.stateDir = join(base, 'state');
    this.plain = join(base, 'plain');
    this.#backing = join(base, 'backing');
    this.#base = base;
    this.#settings = settings;
    this.#reaper = reaper;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  log(): string {
    return this.#log;
  }

  #commandLine(): [string, string[]] {
    if (peer === 'bindfs') {
      const [file, args] = ['bindfs', ['-f', '--multithreaded', this.#backing, this.mountpoint]];
      return commandLine(file, args, this.#settings.asUser);
    }
    const joining = this.#membership === undefined ? [] : ['--config', this.#membership.configFile];
    const words = [...joining, '--state', this.stateDir, ...(this.#settings.args ?? [])];
    const args = ['mount', '-f', ...words, this.mountpoint];
    return commandLine(process.execPath, [cli, ...args], this.#settings.asUser);
  }

  async start(): Promise<void> {
    await mkdir(this.#backing, { recursive: true });
    if (peer === 'plain') return;
    if (peer === 'cluster') {
      this.#membership ??= await (await sharedServers()).ownCluster(this.#base, this.#reaper);
    }
    const [file, args] = this.#commandLine();
    const child = spawn(file, args, {
      env: { ...process.env, ...this.#membership?.env, ...this.#settings.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#log = this.#log.slice(-LOG_KEPT_CHARS);
    const logStart = this.#log.length;
    const keep = (part: Buffer): void => {
      if (this.#log.length < 2 * LOG_KEPT_CHARS) this.#log += part.toString();
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    this.#exit = new Promise((resolve) => {
      child.once('error', (error) => {
        this.#log += String(error);
        resolve(127);
      });
      child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGKILL' ? 137 : 128)));
    });
    if (child.pid !== undefined) {
      const pid = child.pid;
      this.#reaper.process(pid);
      void this.#exit.then(() => this.#reaper.processGone(pid));
    }
    await this.#serving(child, logStart);
  }

  async #serving(child: ChildProcess, logStart: number): Promise<void> {
    const deadline = performance.now() + SERVE_TIMEOUT_MS;
    for (;;) {
      if (child.exitCode !== null || child.pid === undefined) {
        throw new Error(`the mount ended with exit code ${child.exitCode} before it served\n${this.#log}`);
      }
      // A stale mount of a killed process is in the kernel's table too: what counts is the new one's word.
      const said = !isGlobalfs || this.#log.includes(SERVING, logStart);
      // Root may not look into a user's mount.
      const asked = this.#settings.asUser !== undefined || (await answers(this.mountpoint));
      if (said && asked && (await isMounted(this.mountpoint))) return;
      if (performance.now() > deadline) {
        throw new Error(`no mount at ${this.mountpoint} after ${SERVE_TIMEOUT_MS} ms\n${this.#log}`);
      }
      await delay(20);
    }
  }

  async umount(): Promise<void> {
    if (this.#child === undefined) return;
    const tool: [string, string[]] =
      this.#settings.asUser === undefined && isRoot
        ? ['umount', [this.mountpoint]]
        : ['fusermount3', ['-u', this.mountpoint]];
    // Somebody may still be leaving (a git child, a just ended reader): EBUSY passes.
    for (let tries = 0; ; tries++) {
      const result = await run(...tool, { asUser: this.#settings.asUser, allow: [1, 32] });
      if (result.code === 0) break;
      if (tries === 40) throw new Error(`umount: ${result.stderr}`);
      await delay(100);
    }
    const code = await this.#ended();
    if (code !== 0) throw new Error(`after umount the mount ended with exit code ${code}\n${this.#log}`);
  }

  async #ended(): Promise<number> {
    const child = this.#child;
    if (child === undefined) return 0;
    const timer = setTimeout(() => {
      this.#log += `\n[test] still running after ${EXIT_TIMEOUT_MS} ms: killed`;
      child.kill('SIGKILL');
    }, EXIT_TIMEOUT_MS);
    const code = await this.#exit;
    clearTimeout(timer);
    this.#child = undefined;
    return code;
  }

  async restart(): Promise<void> {
    await this.umount();
    await this.start();
  }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#ended();
  }

  async signal(name: 'SIGTERM' | 'SIGINT'): Promise<number> {
    this.#child?.kill(name);
    return this.#ended();
  }
}

/** Whether this path is a mount point now; asks the kernel's table, never the filesystem itself. */
export async function isMounted(path: string): Promise<boolean> {
  const table = await readFile('/proc/self/mountinfo', 'latin1');
  return table.split('\n').some((line) => line.split(' ')[4] === path);
}

async function answers(path: string): Promise<boolean> {
  const looked = stat(path).then(
    () => true,
    () => false,
  );
  return Promise.race([looked, delay(SERVE_TIMEOUT_MS, false, { ref: false })]);
}

/**
 * Makes temporary directories, mounts, runs `body`, and cleans up, also when the body throws or this
 * process is killed: the mount is unmounted (lazily if it must be), the process ended, the directories gone.
 */
export async function withMount<T>(settings: MountSettings, body: (m: Mounted) => Promise<T>): Promise<T> {
  const reaper = new Reaper();
  const base = await mkdtemp(join(tmpdir(), 'globalfs-test-'));
  reaper.directory(base);
  const mounted = new MountedProcess(base, settings, reaper);
  reaper.mount(mounted.mountpoint);
  let failed = true;
  try {
    // Other users must be able to walk in: mkdtemp makes 0700.
    await chmod(base, 0o755);
    for (const path of [mounted.mountpoint, mounted.stateDir, mounted.plain]) {
      await mkdir(path, { recursive: true });
      if (settings.asUser !== undefined) await chown(path, settings.asUser, settings.asUser);
    }
    if (settings.stateMiB !== undefined) {
      reaper.mount(mounted.stateDir);
      await run('mount', ['-t', 'tmpfs', '-o', `size=${settings.stateMiB}m`, 'tmpfs', mounted.stateDir]);
    }
    await mounted.start();
    const result = await body(mounted);
    failed = false;
    await mounted.umount();
    return result;
  } catch (error) {
    if (failed && error instanceof Error && mounted.log() !== '') {
      error.message += `\n--- the mount's log, its end ---\n${mounted.log().slice(-1500)}`;
    }
    throw error;
  } finally {
    await reaper.finish();
  }
}
