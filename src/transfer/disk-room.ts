import { statfsSync } from 'node:fs';

/**
 * Part of the disk that copies of what is staged leave free, for what programs write next. Staged content
 * is safe where it is; its copy in a store on the same disk can wait.
 */
const FREE_SHARE_MIN = 0.05;

/** How much of the disk beneath a directory may still be used for copies. */
export class DiskRoom {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Bytes; negative where the disk is fuller than it should be. */
  spareBytes(): number {
    const disk = statfsSync(this.#directory);
    return (disk.bavail - disk.blocks * FREE_SHARE_MIN) * disk.bsize;
  }
}
