import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { Writable } from 'node:stream';

/** 10 MiB hold some 50,000 lines of 200 bytes; with the four older files, logs take 50 MiB at the most. */
export const LOG_FILE_BYTES_MAX = 10 * 1024 * 1024;
export const LOG_FILES_OLD = 4;

/**
 * A log file of bounded size: `path`, and older ones as `path.1` (the latest) to `path.4`.
 * Each line is written before `write` returns, so that the line before a crash is there. A line that
 * cannot be written (full disk) is dropped: logging must not fail the work; the next one says how many.
 */
export class LogFile extends Writable {
  readonly #path: string;
  readonly #bytesMax: number;
  #fd: number;
  #bytes: number;
  #dropped = 0;

  constructor(path: string, bytesMax = LOG_FILE_BYTES_MAX) {
    super({ decodeStrings: true });
    this.#path = path;
    this.#bytesMax = bytesMax;
    this.#fd = openSync(path, 'a', 0o600);
    this.#bytes = fstatSync(this.#fd).size;
  }

  /** Goes on in a new file at `path`; for a log rotation from outside (SIGHUP). */
  reopen(): void {
    const fd = openSync(this.#path, 'a', 0o600);
    closeSync(this.#fd);
    this.#fd = fd;
    this.#bytes = fstatSync(fd).size;
  }

  #rotate(): void {
    for (let age = LOG_FILES_OLD; age >= 1; age--) {
      const from = age === 1 ? this.#path : `${this.#path}.${age - 1}`;
      try {
        renameSync(from, `${this.#path}.${age}`);
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
      }
    }
    this.reopen();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    try {
      if (this.#bytes > 0 && this.#bytes + chunk.length > this.#bytesMax) this.#rotate();
      if (this.#dropped > 0) {
        const note = { time: new Date().toISOString(), level: 'warn', message: 'log lines were dropped' };
        this.#bytes += writeSync(this.#fd, `${JSON.stringify({ ...note, lines: this.#dropped })}\n`);
        this.#dropped = 0;
      }
      this.#bytes += writeSync(this.#fd, chunk);
    } catch {
      this.#dropped++; // told with the next line that can be written
    }
    done();
  }

  override _final(done: () => void): void {
    closeSync(this.#fd);
    done();
  }
}
