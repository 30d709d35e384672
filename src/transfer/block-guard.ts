import type { BlockHash } from '../core/index.js';

/**
 * Keeps garbage collection and seals apart. While a collection runs, every hash that a seal relies on is
 * remembered, and the collection never deletes those; a seal that meets a block which is being deleted
 * waits until that is done, and then stores it again.
 *
 * Bound: hashes used since the collection began, 100 bytes each; a collection of a million blocks takes
 * minutes, in which a node seals some 100,000.
 */
export class BlockGuard {
  readonly #deleting = new Map<string, Promise<void>>();
  readonly #collections = new Set<Set<string>>();
  /** What the seals that run now have used: they may commit it after a collection began. */
  readonly #current = new Set<string>();

  /** A seal is about to rely on this block. Returns what it must wait for first. */
  use(hash: BlockHash): Promise<void> | undefined {
    this.#current.add(hash);
    for (const used of this.#collections) used.add(hash);
    return this.#deleting.get(hash);
  }

  /** What was used so far is committed or given up. */
  settled(): void {
    this.#current.clear();
  }

  beginCollection(): Collection {
    const used = new Set(this.#current);
    this.#collections.add(used);
    return {
      tryDelete: async (hash, remove) => {
        if (used.has(hash) || this.#deleting.has(hash)) return false;
        const removing = remove();
        this.#deleting.set(
          hash,
          removing.catch(() => undefined), // the collection reports it; the seal only waits
        );
        try {
          await removing;
          return true;
        } finally {
          this.#deleting.delete(hash);
        }
      },
      end: () => void this.#collections.delete(used),
    };
  }
}

export interface Collection {
  /** Deletes unless a seal relies on the block; returns whether it did. */
  tryDelete(hash: BlockHash, remove: () => Promise<void>): Promise<boolean>;
  end(): void;
}
