import type { Ino } from '../core/index.js';

/** All xattrs of inodes that have some: 16 MiB hold those of 50,000 inodes with a pair of ACLs each. */
const XATTR_BYTES_MAX = 16 * 1024 * 1024;
/** Of an inode with xattrs, and of each of them, besides name and value: maps, strings, arrays. */
const INODE_BYTES = 200;
const XATTR_BYTES = 120;

export type Xattrs = ReadonlyMap<string, Uint8Array>;

/** The xattrs of inodes, each with all that it has; bounded by bytes. The oldest go first. */
export class XattrCache {
  readonly #byInode = new Map<Ino, Xattrs>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax = XATTR_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(ino: Ino): Xattrs | undefined {
    return this.#byInode.get(ino);
  }

  set(ino: Ino, xattrs: Xattrs): void {
    this.delete(ino);
    this.#byInode.set(ino, xattrs);
    this.#bytes += bytesOf(xattrs);
    if (this.#bytes <= this.#bytesMax) return;
    // A quarter at a time: a Map walks over what was deleted at its front.
    for (const oldest of this.#byInode.keys()) {
      if (this.#bytes <= this.#bytesMax * 0.75) break;
      this.delete(oldest);
    }
  }

  delete(ino: Ino): void {
    const xattrs = this.#byInode.get(ino);
    if (xattrs === undefined) return;
    this.#byInode.delete(ino);
    this.#bytes -= bytesOf(xattrs);
  }

  clear(): void {
    this.#byInode.clear();
    this.#bytes = 0;
  }
}

function bytesOf(xattrs: Xattrs): number {
  let bytes = INODE_BYTES;
  for (const [name, value] of xattrs) bytes += XATTR_BYTES + name.length + value.length;
  return bytes;
}
