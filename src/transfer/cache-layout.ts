import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Ino, toGfsError } from '../core/index.js';

/** Directories per kind: a million files make 4,000 entries in each, which every filesystem looks up fast. */
const FAN_OUT = 256;

const hex = (bucket: number): string => bucket.toString(16).padStart(2, '0');
const BUCKETS = Array.from({ length: FAN_OUT }, (_, bucket) => hex(bucket));

/**
 * Where a node keeps content: `staging/<xx>/<ino>` is the only copy of what was written, `cache/<xx>/<ino>`
 * is clean. `present/<xx>/<ino>` says which blocks a file of either kind has; without it, all. It stays
 * where it is when the file moves, so that a move is one rename. xx is ino % 256 in hex.
 */
export class CacheLayout {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  staging(ino: Ino): string {
    return `${this.directory}/staging/${BUCKETS[ino % FAN_OUT]}/${ino}`;
  }

  /** Beside a staged file: see staging-base.ts. */
  stagingBase(ino: Ino): string {
    return `${this.staging(ino)}.base`;
  }

  /** Where content goes that cannot be published any more: somebody else was faster. */
  get conflicts(): string {
    return join(this.directory, 'conflicts');
  }

  cache(ino: Ino): string {
    return `${this.directory}/cache/${BUCKETS[ino % FAN_OUT]}/${ino}`;
  }

  presence(ino: Ino): string {
    return `${this.directory}/present/${BUCKETS[ino % FAN_OUT]}/${ino}`;
  }

  /** For a copy that will be renamed over `staging(ino)`. */
  temporary(ino: Ino): string {
    return `${this.directory}/tmp/${ino}`;
  }

  get cleanMarker(): string {
    return join(this.directory, 'clean-shutdown');
  }

  /** Makes the directories that are missing, and empties `tmp`. */
  prepare(): void {
    const temporary = join(this.directory, 'tmp');
    fs.rmSync(temporary, { recursive: true, force: true });
    for (const directory of [temporary, this.conflicts]) {
      fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    }
    for (const kind of ['staging', 'cache', 'present']) {
      // They are made in order: the last one is there when all are.
      if (fs.existsSync(join(this.directory, kind, BUCKETS[FAN_OUT - 1] ?? ''))) continue;
      for (const bucket of BUCKETS) {
        fs.mkdirSync(join(this.directory, kind, bucket), { recursive: true, mode: 0o700 });
      }
    }
  }

  /** Inode numbers of the files of one kind, a bucket at a time. */
  *inodes(kind: 'staging' | 'cache' | 'present'): Iterable<Ino[]> {
    for (const bucket of BUCKETS) {
      const names = fs.readdirSync(join(this.directory, kind, bucket));
      yield names.map(Number).filter((ino) => Number.isSafeInteger(ino)) as Ino[];
    }
  }
}

/** unlink(2); what is not there is fine. */
export function removeFile(path: string): void {
  try {
    fs.unlinkSync(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
  }
}

/** unlink(2) frees the blocks before it returns: above this that would hold up other requests. */
const INLINE_BYTES_MAX = 1024 * 1024;

/**
 * Deletes files of `bytes` in all, in order: at once, or, when that takes long, by the time the promise
 * resolves. @throws GfsError EIO, ...
 */
export function removeFiles(paths: readonly string[], bytes: number): Promise<void> | undefined {
  if (bytes > INLINE_BYTES_MAX) return removeInPool(paths);
  try {
    for (const path of paths) removeFile(path);
  } catch (thrown) {
    throw toGfsError(thrown);
  }
  return undefined;
}

async function removeInPool(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    try {
      await fs.promises.unlink(path);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw toGfsError(thrown);
    }
  }
}
