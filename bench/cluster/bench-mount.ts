import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LoggedProcess } from '../../test/support/cluster/logged-process.js';
import { run } from '../../test/support/run.js';
import { type Program, startProgram } from './cluster-process.js';

export interface BenchMountPlan {
  /** Where it finds the coordinator, when that is not the coordinator's own address. */
  readonly coordinator?: string;
}

/** Of the mount's own directory, which holds its configuration, cache and mount point. */
export interface BenchMountPlace {
  readonly dir: string;
  readonly name: string;
  readonly site: string;
  readonly coordinator: string;
}

const START_MS = 60_000;
const UMOUNT_MS = 300_000;
/** What `mount -f` prints once it serves. */
const SERVING = 'GlobalFS is mounted at ';

/** A mount of the cluster, with a cache of its own that is empty at its start. */
export class BenchMount {
  readonly #place: BenchMountPlace;
  readonly #plan: BenchMountPlan;
  readonly #program: Program;
  #process: LoggedProcess | undefined;

  constructor(place: BenchMountPlace, plan: BenchMountPlan, program: Program) {
    this.#place = place;
    this.#plan = plan;
    this.#program = program;
  }

  /** The mount point. */
  get dir(): string {
    return join(this.#place.dir, 'mnt');
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  async start(): Promise<void> {
    const { dir, name, site, coordinator } = this.#place;
    mkdirSync(this.dir, { recursive: true });
    const config = join(dir, 'globalfs.yaml');
    const lines = [
      `coordinators: [${this.#plan.coordinator ?? coordinator}]`,
      `site: ${site}`,
      `member: ${name}`,
      'cacheSize: 8G',
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    this.#program.reaper.mount(this.dir);
    const words = ['mount', '-f', '--config', config, '--state', join(dir, 'state'), this.dir];
    const started = await startProgram(this.#program, words);
    this.#process = started;
    await started.until(
      `mount ${name}`,
      () => started.log().includes(SERVING) && isMounted(this.dir),
      START_MS,
    );
  }

  /** As a user would: what was written is in the site's store when it returns. */
  async umount(): Promise<void> {
    const served = this.#process;
    if (served?.code !== undefined || served === undefined) return;
    await run('umount', [this.dir], { timeoutMs: UMOUNT_MS });
    const code = await served.ended();
    if (code !== 0)
      throw new Error(`mount ${this.#place.name}: exit code ${code}\n${served.log().slice(-4000)}`);
  }

  async kill(): Promise<void> {
    if (this.#process?.code !== undefined) return;
    await this.#process?.kill();
  }
}

function isMounted(directory: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .some((line) => line.split(' ')[4] === directory);
}
