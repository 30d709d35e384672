import type { NamespaceClient } from '../coordinator/index.js';
import { errorFields, type Ino, type Logger } from '../core/index.js';
import type { ContentCache } from '../transfer/index.js';

/** Files are deleted for this long, then other requests get their turn. */
const TURN_MS = 1;

/**
 * Deletes the content of inodes that are gone, once that is stored: until then a crash brings the inode
 * back, and what is here may be the only copy of what it held. What a crash leaves here is found at the
 * next start (recovery.ts).
 */
export class DiscardQueue {
  readonly #client: NamespaceClient;
  readonly #content: ContentCache;
  readonly #logger: Logger;
  #waiting: Ino[] = [];
  #running: Promise<void> | undefined;

  constructor(client: NamespaceClient, content: ContentCache, logger: Logger) {
    this.#client = client;
    this.#content = content;
    this.#logger = logger;
  }

  /** The inode was reaped just now. */
  add(ino: Ino): void {
    this.#waiting.push(ino);
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
  }

  /** Resolves when nothing waits any more. */
  async drain(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#client.stored();
      } catch (thrown) {
        // The reaps were undone: the inodes are orphans again, and are reaped at the next mount.
        this.#logger.warn('content of deleted files is kept', {
          files: batch.length,
          ...errorFields(thrown),
        });
        continue;
      }
      await this.#discard(batch);
    }
  }

  async #discard(batch: readonly Ino[]): Promise<void> {
    let turnEndMs = performance.now() + TURN_MS;
    for (const ino of batch) {
      try {
        await this.#content.discard(ino);
      } catch (thrown) {
        this.#logger.warn('the content of a deleted file stays on the disk', { ino, ...errorFields(thrown) });
      }
      if (performance.now() < turnEndMs) continue;
      await new Promise(setImmediate);
      turnEndMs = performance.now() + TURN_MS;
    }
  }
}
