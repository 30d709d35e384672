import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toGfsError } from '../../core/errors.js';
import { problem } from '../problem.js';
import { isRunning, processId, type ProcessId } from '../processes.js';

/** A process of a playground. */
export interface PlaygroundProcess extends ProcessId {
  /** `etcd`, `ceph-osd`, `coordinator`, `mount onprem`. */
  readonly name: string;
}

export interface PlaygroundMount {
  readonly site: string;
  readonly mountpoint: string;
  readonly stateDir: string;
  /** The globalfs.yaml that it was mounted with. */
  readonly config: string;
}

/** `playground.json`: everything that `dev down` has to end, written before it is needed. */
export interface PlaygroundRecord {
  readonly startedAt: string;
  /** false: it is being started, or starting it was cut off. */
  readonly ready: boolean;
  readonly cluster: string;
  readonly etcd: string | null;
  readonly coordinator: string | null;
  /** Sites and where their stores are. */
  readonly sites: readonly { readonly name: string; readonly store: string }[];
  readonly mounts: readonly PlaygroundMount[];
  /** In the order of their start. */
  readonly processes: readonly PlaygroundProcess[];
}

export const RECORD_FILE = 'playground.json';

/** One for each user; the next start of the machine clears it away. */
export function defaultPlaygroundDir(uid = process.getuid?.() ?? 0): string {
  return join(tmpdir(), uid === 0 ? 'globalfs-dev' : `globalfs-dev-${uid}`);
}

/** A playground's directory and its record. */
export class Playground {
  readonly dir: string;
  #record: PlaygroundRecord;

  private constructor(dir: string, record: PlaygroundRecord) {
    this.dir = dir;
    this.#record = record;
  }

  /**
   * A new one in a directory that is empty or not there yet.
   * @throws GfsError EBUSY when a playground is there; CONFIG, EACCES for a directory that cannot be used
   */
  static create(dir: string, cluster: string): Playground {
    makeDirectory(dir);
    if (readRecord(dir) !== undefined) {
      throw problem(
        'EBUSY',
        'a playground is there already',
        dir,
        `'globalfs dev down' ends it; --dir chooses another place`,
      );
    }
    if (readdirSync(dir).length > 0) {
      throw problem('CONFIG', 'the directory is not empty', dir, 'choose another with --dir, or empty it');
    }
    const playground = new Playground(dir, {
      startedAt: new Date().toISOString(),
      ready: false,
      cluster,
      etcd: null,
      coordinator: null,
      sites: [],
      mounts: [],
      processes: [],
    });
    playground.update({});
    return playground;
  }

  /** @throws GfsError ENOENT when there is none */
  static open(dir: string): Playground {
    const record = readRecord(dir);
    if (record !== undefined) return new Playground(dir, record);
    throw problem('ENOENT', 'no playground is there', dir, "'globalfs dev up' starts one; --dir says where");
  }

  get record(): PlaygroundRecord {
    return this.#record;
  }

  path(...names: string[]): string {
    return join(this.dir, ...names);
  }

  /** The record on the disk is never half of one. */
  update(changes: Partial<PlaygroundRecord>): void {
    this.#record = { ...this.#record, ...changes };
    const file = this.path(RECORD_FILE);
    writeFileSync(`${file}.new`, `${JSON.stringify(this.#record, undefined, 2)}\n`);
    renameSync(`${file}.new`, file);
  }

  addProcess(name: string, pid: number): void {
    const id = processId(pid);
    // One that has ended already is missed by whoever waits for its answer.
    if (id !== undefined) this.update({ processes: [...this.#record.processes, { name, ...id }] });
  }

  /** The last one that was started first. */
  running(): PlaygroundProcess[] {
    return this.#record.processes.filter(isRunning).reverse();
  }
}

/** @throws GfsError CONFIG when it is not a directory of ours */
function makeDirectory(dir: string): void {
  try {
    mkdirSync(dir, { mode: 0o755 });
    chmodSync(dir, 0o755); // whatever the umask: other users may enter the mounts
  } catch (thrown) {
    const { code, message } = toGfsError(thrown);
    if (code !== 'EEXIST')
      throw problem(code, 'cannot make the directory', message, 'choose another with --dir');
  }
  // In a directory for everybody somebody else may have been first.
  const found = lstatSync(dir);
  if (found.isDirectory() && found.uid === process.getuid?.()) return;
  throw problem('CONFIG', 'not a directory of yours', dir, 'choose another with --dir');
}

function readRecord(dir: string): PlaygroundRecord | undefined {
  const file = join(dir, RECORD_FILE);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (thrown) {
    const error = toGfsError(thrown);
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as PlaygroundRecord;
  } catch (thrown) {
    throw problem(
      'CORRUPT',
      'the record of the playground cannot be read',
      file,
      'end its processes by hand',
      thrown,
    );
  }
}
