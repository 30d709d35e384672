import type { Ino } from '../core/index.js';
import type { OpenFile } from './open-table.js';

/** How many inodes' last closed state is remembered: about 100 B each. */
const INODES_MAX = 65_536;

/**
 * Of which files the kernel has right pages though nobody has them open: mtime and size when the last open
 * through this process ended. The next open then keeps the pages.
 */
export class PageMemory {
  readonly #keys = new Map<Ino, string>();

  has(file: OpenFile): boolean {
    return this.#keys.get(file.ino) === keyOf(file);
  }

  remember(file: OpenFile): void {
    this.#keys.delete(file.ino);
    this.#keys.set(file.ino, keyOf(file));
    if (this.#keys.size <= INODES_MAX) return;
    const oldest = this.#keys.keys().next().value;
    if (oldest !== undefined) this.#keys.delete(oldest);
  }

  forget(ino: Ino): void {
    this.#keys.delete(ino);
  }

  clear(): void {
    this.#keys.clear();
  }
}

function keyOf(file: OpenFile): string {
  const { mtimeNs, size } = file.content.stat();
  return `${mtimeNs}/${size}`;
}
