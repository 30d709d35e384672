import * as fs from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type BlockHash, GfsError, toGfsError } from '../core/index.js';
import { BLOCK_BYTES } from '../namespace/index.js';
import { BLAKE3_MODULE, hashBlock } from './block-codec.js';
import { BLOCK_WORKER_SOURCE } from './block-worker.js';

/** Hashing 64 KiB here takes 30 to 50 µs: what handing it to a worker and back costs. */
export const INLINE_BYTES_MAX = 64 * 1024;

/** Two workers hash faster (some 3 GB/s) than the disks that the blocks come from. */
const WORKERS_MAX = 2;

interface Job {
  readonly resolve: (hash: BlockHash) => void;
  readonly reject: (error: GfsError) => void;
}
interface Thread {
  readonly worker: Worker;
  readonly jobs: Map<number, Job>;
}
type Answer = { id: number; hash: BlockHash } | { id: number; code?: string; message: string };

/** Hashes ranges of files: small ones at once, large ones in worker threads that start when first needed. */
export class BlockHasher {
  readonly #threadsMax: number;
  readonly #threads: Thread[] = [];
  readonly #scratch = Buffer.allocUnsafeSlow(INLINE_BYTES_MAX);
  #nextId = 0;

  constructor(threads: number = Math.min(WORKERS_MAX, Math.max(1, availableParallelism() - 1))) {
    this.#threadsMax = threads;
  }

  /**
   * At once, for at most INLINE_BYTES_MAX bytes. `bytes` is valid until the next call.
   * @throws GfsError EIO when the file ends before the range does
   */
  hashSmall(fd: number, offset: number, length: number): { hash: BlockHash; bytes: Uint8Array } {
    let done = 0;
    while (done < length) {
      const count = fs.readSync(fd, this.#scratch, done, length - done, offset + done);
      if (count === 0)
        throw new GfsError('EIO', 'file ends before the block', { context: { offset, length } });
      done += count;
    }
    const bytes = this.#scratch.subarray(0, length);
    return { hash: hashBlock(bytes), bytes };
  }

  async hash(fd: number, offset: number, length: number): Promise<BlockHash> {
    if (length <= INLINE_BYTES_MAX) return this.hashSmall(fd, offset, length).hash;
    const thread = this.#leastBusy();
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      thread.jobs.set(id, { resolve, reject });
      thread.worker.ref();
      thread.worker.postMessage({ id, fd, offset, length });
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map((thread) => thread.worker.terminate()));
  }

  #leastBusy(): Thread {
    let best = this.#threads[0];
    for (const thread of this.#threads) {
      if (best === undefined || thread.jobs.size < best.jobs.size) best = thread;
    }
    if (best === undefined || (best.jobs.size > 0 && this.#threads.length < this.#threadsMax)) {
      best = this.#start();
    }
    return best;
  }

  #start(): Thread {
    const worker = new Worker(BLOCK_WORKER_SOURCE, {
      eval: true,
      workerData: { blake3Module: BLAKE3_MODULE, blockBytes: BLOCK_BYTES },
    });
    const thread: Thread = { worker, jobs: new Map() };
    worker.unref(); // a worker without work does not keep the process alive
    worker.on('message', (answer: Answer) => {
      const job = thread.jobs.get(answer.id);
      thread.jobs.delete(answer.id);
      if (thread.jobs.size === 0) worker.unref();
      if ('hash' in answer) job?.resolve(answer.hash);
      else job?.reject(toGfsError(Object.assign(new Error(answer.message), { code: answer.code })));
    });
    const end = (cause: unknown): void => {
      const index = this.#threads.indexOf(thread);
      if (index >= 0) this.#threads.splice(index, 1);
      for (const job of thread.jobs.values()) {
        job.reject(
          new GfsError('EIO', `the hash worker ended: ${String(cause)}`, { cause, retryable: true }),
        );
      }
      thread.jobs.clear();
    };
    worker.on('error', end);
    worker.on('exit', end);
    this.#threads.push(thread);
    return thread;
  }
}
