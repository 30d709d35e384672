import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';

/** A leftover of a process that cannot be asked (another machine's, another boot's) is deleted at this age. */
const LEFTOVER_AGE_MS = 60 * 60 * 1000;

const bootId = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
/** Tells this process from an earlier one with the same number, as containers have it. */
const processToken = randomBytes(4).toString('hex');

let counter = 0;

/** Names for files that are written here and then renamed to where they belong: `<boot>-<pid>-<token>-<n>`. */
export class TemporaryFiles {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  next(): string {
    counter++;
    return `${this.#directory}/${bootId}-${process.pid}-${processToken}-${counter}`;
  }

  /** Deletes what dead processes left. What another live process of this machine is writing stays. */
  deleteLeftovers(): void {
    for (const name of fs.readdirSync(this.#directory)) {
      const path = join(this.#directory, name);
      if (isLeftover(name, path)) fs.rmSync(path, { force: true });
    }
  }
}

function isLeftover(name: string, path: string): boolean {
  const [boot, pid, token] = name.split('-');
  if (boot === bootId && pid !== undefined) {
    if (Number(pid) === process.pid) return token !== processToken;
    return !isAlive(Number(pid));
  }
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && Date.now() - stat.mtimeMs > LEFTOVER_AGE_MS;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0); // sends nothing: asks whether the process is there
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
}
