import { closeSync, fstatSync, openSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Clock, FALLOC_FL_KEEP_SIZE, native, systemClock, toGfsError } from '../core/index.js';

/** At most this much, and at most this part of the filesystem, is kept free for deletes on a full disk. */
const RESERVE_BYTES_MAX = 64 * 1024 * 1024;
const RESERVE_PART = 16;
/** A full disk is asked again this often: a fallocate(2) that fails costs some 10 µs. */
const RETRY_MS = 500;

/**
 * Space beyond the end of a growing file, allocated before it is needed, so that the last writes on a full
 * disk (deletes, which make it less full) succeed. The file's size does not show it.
 */
export class DiskReserve {
  readonly #path: string;
  readonly #fd: number;
  readonly #reserveBytes: number;
  readonly #clock: Clock;
  /** Up to here the file's space is allocated. */
  #allocatedEnd = 0;
  #hasRoom = true;
  #triedMs = -Infinity;

  /** @param path the file, which must exist */
  constructor(path: string, clock: Clock = systemClock) {
    this.#path = path;
    this.#clock = clock;
    this.#fd = openSync(path, 'r+');
    const disk = statfsSync(dirname(path));
    this.#reserveBytes = Math.min(RESERVE_BYTES_MAX, Math.floor((disk.blocks * disk.bsize) / RESERVE_PART));
    this.topUp();
  }

  /** Whether the reserve is whole; once it is not, whether it can be topped up by now. */
  hasRoom(): boolean {
    if (!this.#hasRoom && this.#clock.monotonicMs() - this.#triedMs >= RETRY_MS) this.topUp();
    return this.#hasRoom;
  }

  /** To be called after the file may have grown. Allocates once a quarter of the reserve is used. */
  topUp(): void {
    const { size } = fstatSync(this.#fd);
    const left = this.#allocatedEnd - size;
    if (this.#hasRoom && left >= (this.#reserveBytes * 3) / 4) return;
    this.#triedMs = this.#clock.monotonicMs();
    try {
      native.fallocate(this.#fd, FALLOC_FL_KEEP_SIZE, size, this.#reserveBytes);
      this.#allocatedEnd = size + this.#reserveBytes;
      this.#hasRoom = true;
    } catch (thrown) {
      // Where the filesystem cannot allocate ahead (EOPNOTSUPP, mostly), what is free must do.
      const full = toGfsError(thrown).code === 'ENOSPC';
      this.#hasRoom = !full && this.#freeBytes() > this.#reserveBytes;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  #freeBytes(): number {
    const disk = statfsSync(dirname(this.#path));
    return disk.bavail * disk.bsize;
  }
}
