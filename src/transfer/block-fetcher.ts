import * as fs from 'node:fs';
import { type BlockHash, GfsError, type Logger, Semaphore, errorFields, toGfsError } from '../core/index.js';
import { BLOCK_BYTES } from '../namespace/index.js';
import { hashBlock } from './block-codec.js';
import type { BlockStore } from './block-store.js';
import type { NodeContent } from './node-content.js';

/** Blocks in memory at once, by default: 6 of 4 MiB, twice while one is decompressed, are 48 MiB at most. */
const FETCHES_MAX = 6;

/** Brings absent blocks into content files: each one once, however many ask. */
export class BlockFetcher {
  readonly #blocks: BlockStore;
  readonly #logger: Logger;
  readonly #permits: Semaphore;

  constructor(blocks: BlockStore, logger: Logger, fetchesMax = FETCHES_MAX) {
    this.#permits = new Semaphore(fetchesMax);
    this.#blocks = blocks;
    this.#logger = logger;
  }

  /**
   * Resolves when the block is present in the file and its bit is set.
   * @throws GfsError CORRUPT, EIO, UNAVAILABLE, ENOSPC
   */
  fetch(content: NodeContent, index: number): Promise<void> {
    const running = content.inFlight.get(index);
    if (running !== undefined) return running;
    const fetching = this.#permits
      .run(() => this.#fetch(content, index))
      .finally(() => {
        content.inFlight.delete(index);
        content.fetchEnded();
      });
    content.inFlight.set(index, fetching);
    return fetching;
  }

  /** The verified bytes of one block of a version. */
  async read(content: NodeContent, index: number, hash: BlockHash): Promise<Uint8Array> {
    const offset = index * BLOCK_BYTES;
    const length = Math.min(BLOCK_BYTES, content.base.size - offset);
    try {
      return (await this.#blocks.get(hash, length, content.base.sources)).subarray(0, length);
    } catch (thrown) {
      const error = toGfsError(thrown);
      const place = { ino: content.ino, offset, hash };
      if (error.code === 'CORRUPT' || error.code === 'ENOENT') {
        this.#logger.error('a block is damaged or missing in the store', { ...errorFields(error), ...place });
      }
      const code = error.code === 'ENOENT' ? 'EIO' : error.code;
      const message = `block ${index} (blake3:${hash}) of inode ${content.ino}: ${error.message}`;
      throw new GfsError(code, message, { cause: error, retryable: error.retryable, context: place });
    }
  }

  async #fetch(content: NodeContent, index: number): Promise<void> {
    const presence = content.presence;
    if (presence === undefined || presence.has(index)) return;
    content.manifest ??= await this.#blocks.loadManifest(content.base.manifest, content.base.sources);
    const hash = content.manifest.hashOf(index);
    if (hash !== undefined && !(content.recheck && (await isIntact(content, index, hash)))) {
      const bytes = await this.read(content, index, hash);
      await writeFully(content.fd, bytes, index * BLOCK_BYTES);
    }
    content.blockArrived(index);
  }
}

/** After an unclean end the bytes may be there already, only unverified. */
async function isIntact(content: NodeContent, index: number, hash: BlockHash): Promise<boolean> {
  const offset = index * BLOCK_BYTES;
  const bytes = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, content.base.size - offset));
  const read = await readAt(content.fd, bytes, offset);
  return read === bytes.length && hashBlock(bytes) === hash;
}

function readAt(fd: number, bytes: Uint8Array, offset: number): Promise<number> {
  return new Promise((resolve, reject) =>
    fs.read(fd, bytes, 0, bytes.length, offset, (error, count) =>
      error === null ? resolve(count) : reject(toGfsError(error)),
    ),
  );
}

async function writeFully(fd: number, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += await new Promise<number>((resolve, reject) =>
      fs.write(fd, bytes, done, bytes.length - done, offset + done, (error, count) =>
        error === null ? resolve(count) : reject(toGfsError(error)),
      ),
    );
  }
}
