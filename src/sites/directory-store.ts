import { constants } from 'node:fs';
import * as fs from 'node:fs';
import * as fsp from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GfsError, native, toGfsError } from '../core/index.js';
import { throwIfAborted } from './abort.js';
import { checkObjectKey, missingObject } from './object-key.js';
import type { ObjectInfo, ObjectRead, ObjectStore } from './object-store.js';
import { TemporaryFiles } from './temporary-files.js';

/**
 * Up to here a body is written and read by synchronous calls: a hand-over to the thread pool costs 30 to
 * 50 µs of CPU, copying 64 KiB to the page cache 15 µs.
 */
const SYNC_BYTES_MAX = 64 * 1024;

/**
 * Up to this many objects are made durable one by one (two fsyncs each); above it one syncfs is cheaper,
 * although it also writes what others left dirty on the same filesystem.
 */
const FSYNC_OBJECTS_MAX = 16;

/** Entries that `list` looks at before it lets other work run: 100 stats take about 0.3 ms. */
const LIST_TURN_ENTRIES = 100;

/** Errors of link(2) and FICLONERANGE by which the filesystem says: not here, and never. */
const NEVER = new Set(['EOPNOTSUPP', 'ENOTSUP', 'EXDEV', 'EPERM', 'ENOSYS', 'ENOTTY']);

/**
 * Objects as files below `root`: the object's key is its path. Writes go to `root/tmp/` and are renamed,
 * so that a reader sees the whole object or none. `modifiedMs` is the file's ctime: an adopted file
 * brings its own mtime, which its user may have set to anything.
 */
export class DirectoryStore implements ObjectStore {
  readonly root: string;
  readonly #temporary: TemporaryFiles;
  readonly #rootFd: number;
  /** Paths put since the last sync; 'many' when there are more than it pays to fsync. */
  #unsynced: Set<string> | 'many' = new Set();
  #syncing: Promise<void> | undefined;
  #syncNext: Promise<void> | undefined;
  #links = true;
  #reflinks = true;

  /**
   * Opens the store, makes its directory where it is missing, and deletes what a crash left in `tmp/`.
   * @throws GfsError EACCES, ENOTDIR, ...
   */
  constructor(root: string) {
    this.root = root;
    try {
      fs.mkdirSync(join(root, 'tmp'), { recursive: true, mode: 0o700 });
      this.#temporary = new TemporaryFiles(join(root, 'tmp'));
      this.#temporary.deleteLeftovers();
      this.#rootFd = fs.openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
    } catch (thrown) {
      throw toGfsError(thrown);
    }
  }

  async put(key: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    const path = this.#pathOf(key);
    throwIfAborted(signal);
    const temporary = this.#temporary.next();
    try {
      if (body.length <= SYNC_BYTES_MAX) writeWholeSync(temporary, body);
      else await fsp.writeFile(temporary, body, { flag: 'wx', mode: 0o600, ...(signal && { signal }) });
      this.#publish(() => fs.renameSync(temporary, path), path);
    } catch (thrown) {
      fs.rmSync(temporary, { force: true });
      throw storeError(thrown, key);
    }
    this.#noteUnsynced(path);
  }

  async get(
    key: string,
    range?: { offset: number; length: number },
    signal?: AbortSignal,
  ): Promise<ObjectRead> {
    const path = this.#pathOf(key);
    throwIfAborted(signal);
    let fd: number | undefined;
    try {
      fd = fs.openSync(path, constants.O_RDONLY);
      const stat = fs.fstatSync(fd);
      if (!stat.isFile()) throw missingObject(key);
      const offset = Math.min(range?.offset ?? 0, stat.size);
      const bytes = Buffer.allocUnsafeSlow(Math.min(range?.length ?? stat.size, stat.size - offset));
      const read =
        bytes.length <= SYNC_BYTES_MAX
          ? readFullySync(fd, bytes, offset)
          : await readFully(fd, bytes, offset);
      return { bytes: bytes.subarray(0, read), totalBytes: stat.size };
    } catch (thrown) {
      throw storeError(thrown, key);
    } finally {
      if (fd !== undefined) fs.closeSync(fd);
    }
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the port is asynchronous; a stat takes 3 µs
  async head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    const path = this.#pathOf(key);
    throwIfAborted(signal);
    try {
      return infoOf(key, path);
    } catch (thrown) {
      throw storeError(thrown, key);
    }
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as `head`
  async delete(key: string, signal?: AbortSignal): Promise<void> {
    const path = this.#pathOf(key);
    throwIfAborted(signal);
    try {
      fs.unlinkSync(path);
    } catch (thrown) {
      if (codeOf(thrown) !== 'ENOENT' && codeOf(thrown) !== 'ENOTDIR') throw storeError(thrown, key);
    }
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    yield* this.#walk('', prefix, signal);
  }

  /** A sync that begins after the call; callers that come while one runs share the next. */
  sync(): Promise<void> {
    if (this.#syncing === undefined) {
      this.#syncing = this.#syncOnce().finally(() => (this.#syncing = undefined));
      return this.#syncing;
    }
    this.#syncNext ??= this.#syncing
      .catch(() => undefined) // that failure is its own callers' to see
      .then(() => {
        this.#syncNext = undefined;
        return this.sync();
      });
    return this.#syncNext;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the port is asynchronous; a link takes 8 µs
  async adopt(
    key: string,
    file: { path: string; fd: number; offset: number; length: number; fileBytes: number },
  ): Promise<'linked' | 'reflinked' | undefined> {
    const path = this.#pathOf(key);
    try {
      if (this.#links && file.offset === 0 && file.length === file.fileBytes) return this.#link(path, file);
      if (this.#reflinks && this.#reflink(path, file)) return 'reflinked';
      return undefined;
    } catch (thrown) {
      throw storeError(thrown, key);
    }
  }

  async unshare(key: string): Promise<void> {
    const path = this.#pathOf(key);
    const temporary = this.#temporary.next();
    try {
      await fsp.copyFile(path, temporary, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
      await fsyncPath(temporary);
      await fsp.rename(temporary, path);
    } catch (thrown) {
      fs.rmSync(temporary, { force: true });
      throw storeError(thrown, key);
    }
    this.#noteUnsynced(path);
  }

  close(): void {
    fs.closeSync(this.#rootFd);
  }

  #pathOf(key: string): string {
    checkObjectKey(key);
    if (key.startsWith('tmp/')) throw new GfsError('EINVAL', `key is reserved: ${key}`);
    return `${this.root}/${key}`;
  }

  /** Does `act`, which makes `path`; makes its directory when that is what was missing. */
  #publish(act: () => void, path: string): void {
    try {
      act();
    } catch (thrown) {
      if (codeOf(thrown) !== 'ENOENT') throw thrown;
      fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      act();
    }
  }

  #link(path: string, file: { path: string; fd: number }): 'linked' | undefined {
    try {
      this.#publish(() => fs.linkSync(file.path, path), path);
    } catch (thrown) {
      const code = codeOf(thrown);
      // A crash between link and commit left it so; or another file has the same content.
      if (code === 'EEXIST') {
        const object = fs.statSync(path);
        const own = fs.fstatSync(file.fd);
        return object.ino === own.ino && object.dev === own.dev ? 'linked' : undefined;
      }
      if (code === 'EMLINK') return undefined;
      if (code === undefined || !NEVER.has(code)) throw thrown;
      this.#links = false;
      return undefined;
    }
    this.#noteUnsynced(path);
    return 'linked';
  }

  #reflink(path: string, file: { fd: number; offset: number; length: number }): boolean {
    const temporary = this.#temporary.next();
    const fd = fs.openSync(temporary, 'wx', 0o600);
    try {
      native.cloneRange(file.fd, file.offset, fd, 0, file.length);
      this.#publish(() => fs.renameSync(temporary, path), path);
    } catch (thrown) {
      fs.rmSync(temporary, { force: true });
      const code = codeOf(thrown);
      // EINVAL: this range is not aligned as this filesystem wants it.
      if (code === 'EINVAL') return false;
      if (code === undefined || !NEVER.has(code)) throw thrown;
      this.#reflinks = false;
      return false;
    } finally {
      fs.closeSync(fd);
    }
    this.#noteUnsynced(path);
    return true;
  }

  #noteUnsynced(path: string): void {
    if (this.#unsynced === 'many') return;
    this.#unsynced.add(path);
    if (this.#unsynced.size > FSYNC_OBJECTS_MAX) this.#unsynced = 'many';
  }

  async #syncOnce(): Promise<void> {
    const unsynced = this.#unsynced;
    this.#unsynced = new Set();
    try {
      if (unsynced === 'many') {
        await native.syncfs(this.#rootFd);
        return;
      }
      for (const path of unsynced) await fsyncPath(path);
      // A new directory is an entry of its parent: sync the chain up to the root.
      for (const directory of chainsOf(this.root, unsynced)) await fsyncPath(directory);
    } catch (thrown) {
      // Whether the lost ones were written is unknown: the next sync takes everything.
      this.#unsynced = 'many';
      throw toGfsError(thrown);
    }
  }

  /** Key order is byte order of whole keys: a directory sorts as its name with the `/` after it. */
  async *#walk(directory: string, prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    const entries = await this.#entries(directory);
    let looked = 0;
    for (const name of entries) {
      const key = `${directory}${name}`;
      if (!key.startsWith(prefix) && !prefix.startsWith(key)) continue;
      throwIfAborted(signal);
      if (key.endsWith('/')) {
        yield* this.#walk(key, prefix, signal);
      } else if (key.startsWith(prefix)) {
        const info = infoOf(key, `${this.root}/${key}`);
        if (info !== undefined) yield info;
        if (++looked % LIST_TURN_ENTRIES === 0) await new Promise(setImmediate);
      }
    }
  }

  async #entries(directory: string): Promise<string[]> {
    try {
      const entries = await fsp.readdir(`${this.root}/${directory}`, { withFileTypes: true });
      return entries
        .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
        .filter((name) => directory !== '' || name !== 'tmp/')
        .sort();
    } catch (thrown) {
      if (codeOf(thrown) === 'ENOENT') return [];
      throw storeError(thrown, directory);
    }
  }
}

function infoOf(key: string, path: string): ObjectInfo | undefined {
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile()) return undefined;
  return { key, bytes: stat.size, modifiedMs: stat.ctimeMs };
}

function writeWholeSync(path: string, body: Uint8Array): void {
  const fd = fs.openSync(path, 'wx', 0o600);
  try {
    let written = 0;
    while (written < body.length) written += fs.writeSync(fd, body, written, body.length - written, written);
  } finally {
    fs.closeSync(fd);
  }
}

function readFullySync(fd: number, bytes: Uint8Array, offset: number): number {
  let done = 0;
  while (done < bytes.length) {
    const count = fs.readSync(fd, bytes, done, bytes.length - done, offset + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

async function readFully(fd: number, bytes: Uint8Array, offset: number): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    const count = await readOnce(fd, bytes, done, offset + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

function readOnce(fd: number, bytes: Uint8Array, start: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, bytes, start, bytes.length - start, position, (error, count) =>
      error === null ? resolve(count) : reject(error),
    );
  });
}

async function fsyncPath(path: string): Promise<void> {
  let handle;
  try {
    handle = await fsp.open(path, constants.O_RDONLY);
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return; // deleted since: nothing is left to keep
    throw thrown;
  }
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The directories of these paths up to and including the root, each once. */
function chainsOf(root: string, paths: Iterable<string>): Set<string> {
  const chain = new Set<string>();
  for (const path of paths) {
    for (let directory = dirname(path); directory.length >= root.length; directory = dirname(directory)) {
      chain.add(directory);
    }
  }
  return chain;
}

const codeOf = (thrown: unknown): string | undefined => (thrown as NodeJS.ErrnoException).code;

/** The port's errors: ENOENT, ENOSPC, CANCELLED and UNAVAILABLE as they are, everything else EIO. */
function storeError(thrown: unknown, key: string): GfsError {
  const error = toGfsError(thrown);
  if (error.code === 'ENOENT' || error.code === 'EISDIR' || error.code === 'ENOTDIR') {
    return missingObject(key, thrown);
  }
  const kept = error.code === 'ENOSPC' || error.code === 'CANCELLED' || error.code === 'UNAVAILABLE';
  return new GfsError(kept ? error.code : 'EIO', error.message, { cause: thrown, context: { key } });
}
