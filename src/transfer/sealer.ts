import { type Clock, errorFields, GfsError, type Ino, type Logger, toGfsError } from '../core/index.js';
import { BLOCK_BYTES } from '../namespace/index.js';
import type { BlockStore } from './block-store.js';
import type { CommitOutcome, CommitSealed } from './content.js';
import type { NodeContent } from './node-content.js';
import type { FileSealer, SealedFile } from './seal-file.js';
import { SealRun } from './seal-run.js';
import { isUnchanged, sourcesOf } from './sealed-version.js';

/** One sync of the store and one group of commits per batch: 512 small files take some 50 ms. */
const BATCH_FILES_MAX = 512;
/** A batch with large files ends here, so that what was sealed is committed: 1 s of disk at 250 MB/s. */
const BATCH_BYTES_MAX = 256 * 1024 * 1024;
/** Work of this length, then a turn of the event loop: FUSE requests are served meanwhile. */
const TURN_MS = 1;
/** What is still written to (see FileSealer) is waited for so often, so long, before it is left staged. */
const FLUSH_ATTEMPTS = 5;
const FLUSH_ATTEMPT_MS = 20;
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 30_000;

export interface SealerOptions {
  readonly files: FileSealer;
  readonly blocks: BlockStore;
  readonly commit: CommitSealed;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly sealDelayMs: number;
  /** Content was committed (and may become clean), or is gone, or cannot be committed any more. */
  readonly sealed: (content: NodeContent, outcome: CommitOutcome) => void;
  /** Content was committed, but is staged still: it was opened for writing meanwhile. */
  readonly committedBeneath: (content: NodeContent) => void;
  /** As `Parallelism.files`. */
  readonly filesAtOnce: number;
  /** As NodeContentCacheOptions.shared: all that is staged is news, if only by its times. */
  readonly shared: { readonly exists: (ino: Ino) => Promise<boolean> } | undefined;
  /** Whether the store may grow by so much now; if not, the seal waits, without hurry. */
  readonly hasRoom: (bytes: number) => boolean;
  /** A batch has ended. */
  readonly batchEnded: () => Promise<void>;
}

interface Stored {
  readonly content: NodeContent;
  readonly run: SealRun;
  readonly sealed: SealedFile;
}

/** Seals what was closed, in batches, in the order it was closed. What fails is tried again, for ever. */
export class Sealer {
  readonly #options: SealerOptions;
  readonly #queue = new Map<Ino, NodeContent>();
  /** Failed, or not sealable just now; tried again together. */
  readonly #deferred = new Map<Ino, NodeContent>();
  readonly #stopping = new AbortController();
  #sealing = 0;
  #retryMs = RETRY_FIRST_MS;
  #retryAtMs = 0;
  #lastError: GfsError | undefined;
  #urgent = false;
  #wake: AbortController | undefined;
  #progress: (() => void)[] = [];
  #loop: Promise<void> = Promise.resolve();
  #turnStartMs = 0;

  constructor(options: SealerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Ends after the batch that runs. What is queued stays staged. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.abort();
    await this.#loop;
  }

  get queued(): number {
    return this.#queue.size + this.#deferred.size + this.#sealing;
  }

  /** Something is being sealed or will be shortly: waiting for it makes sense. */
  get hasWork(): boolean {
    return (this.#queue.size > 0 || this.#sealing > 0) && !this.#stopping.signal.aborted;
  }

  /** A seal that runs already goes on: nothing was written since it began. */
  enqueue(content: NodeContent): void {
    if (content.seal?.abandoned === false) return;
    content.sealAtMs = this.#options.clock.monotonicMs() + this.#options.sealDelayMs;
    this.#deferred.delete(content.ino);
    this.#queue.delete(content.ino);
    this.#queue.set(content.ino, content);
    if (this.#urgent || this.#queue.size === 1) this.#wake?.abort();
  }

  /**
   * Takes the content out: it is to be written. Resolves when no seal touches it any more; a commit that
   * is under way is waited for.
   */
  async abandon(content: NodeContent): Promise<void> {
    this.#queue.delete(content.ino);
    this.#deferred.delete(content.ino);
    const run = content.seal;
    if (run === undefined) return;
    if (run.checkpoint) {
      while (content.seal === run) await run.stepEnd();
      return;
    }
    run.abandoned = true;
    if (run.phase !== 'waiting') await run.stepEnd();
  }

  /**
   * Seals and commits one content now, ahead of all others, also while it is open. Nobody may write to it
   * meanwhile. Nothing happens to what is not staged.
   * @param keepWrite as `Sealed.keepWrite`
   * @throws GfsError when it could not be stored or committed; it stays staged
   */
  async checkpoint(content: NodeContent, keepWrite: boolean): Promise<void> {
    for (let run = content.seal; run !== undefined && content.staged; run = content.seal) {
      await this.abandon(content);
      if (content.seal === run) content.seal = undefined; // it was stored, or waits to be: that is in vain
    }
    if (!content.staged || content.discarded) return;
    const run = new SealRun(true);
    content.seal = run;
    this.#queue.delete(content.ino);
    this.#deferred.delete(content.ino);
    let outcome: CommitOutcome = 'gone';
    try {
      if (await this.#exists(content)) outcome = await this.#checkpoint(content, run, keepWrite);
    } catch (thrown) {
      this.#end(content, run);
      if (!content.isOpen) this.enqueue(content);
      throw toGfsError(thrown);
    }
    this.#end(content, run);
    this.#options.sealed(content, outcome);
  }

  async #checkpoint(content: NodeContent, run: SealRun, keepWrite: boolean): Promise<CommitOutcome> {
    run.step('storing');
    const sealed = await this.#options.files.seal(content, run);
    if (sealed === undefined) throw new GfsError('EBUSY', 'the file is written to by a mapping of it');
    if (sealed.stored) await this.#options.blocks.sync();
    run.step('committing');
    return this.#publish(content, sealed, keepWrite);
  }

  /** Resolves when something more was sealed, or failed to be. */
  nextProgress(): Promise<void> {
    this.#urgent = true;
    this.#wake?.abort();
    return new Promise((resolve) => this.#progress.push(resolve));
  }

  /**
   * Seals everything that is closed, at once.
   * @throws GfsError when something could not be sealed; it stays staged
   */
  async flushAll(signal?: AbortSignal): Promise<void> {
    this.#requeueDeferred();
    this.#lastError = undefined;
    for (let attempt = 0; attempt < FLUSH_ATTEMPTS && this.#lastError === undefined; attempt++) {
      while (this.hasWork) {
        if (signal?.aborted === true) throw toGfsError(signal.reason);
        await this.nextProgress();
      }
      if (this.#deferred.size === 0) return;
      // Somebody writes still: the kernel may only be late in closing its end.
      await this.#options.clock.sleep(FLUSH_ATTEMPT_MS, signal);
      this.#requeueDeferred();
    }
    const error = this.#lastError as GfsError | undefined;
    if (error !== undefined) throw error;
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const batch = this.#take();
      if (batch.length === 0) {
        this.#urgent = false;
        this.#wakeProgress();
        await this.#sleep();
        continue;
      }
      this.#sealing = batch.length;
      try {
        await this.#sealBatch(batch);
        await this.#options.batchEnded();
      } catch (thrown) {
        this.#options.logger.error('a batch of seals failed', errorFields(thrown));
        for (const content of batch) {
          if (content.seal?.checkpoint === false) this.#failed(content, content.seal, thrown);
        }
      }
      this.#sealing = 0;
      this.#options.blocks.guard.settled();
      this.#wakeProgress();
    }
    this.#wakeProgress();
  }

  #wakeProgress(): void {
    for (const wake of this.#progress.splice(0)) wake();
  }

  async #sleep(): Promise<void> {
    const now = this.#options.clock.monotonicMs();
    const first = this.#queue.values().next().value;
    let untilMs = first === undefined ? Infinity : first.sealAtMs;
    if (this.#deferred.size > 0) untilMs = Math.min(untilMs, this.#retryAtMs);
    this.#wake = new AbortController();
    // A timer cannot be set for ever; waking once an hour for nothing is no burden.
    const ms = Math.min(Math.max(1, untilMs - now), 3_600_000);
    // The only rejection is our own wake-up.
    await this.#options.clock.sleep(ms, this.#wake.signal).catch(() => undefined);
    this.#wake = undefined;
  }

  #take(): NodeContent[] {
    const now = this.#options.clock.monotonicMs();
    if (this.#deferred.size > 0 && now >= this.#retryAtMs) this.#requeueDeferred();
    const batch: NodeContent[] = [];
    let bytes = 0;
    for (const content of this.#queue.values()) {
      if (!this.#urgent && content.sealAtMs > now) break;
      if (batch.length >= BATCH_FILES_MAX || bytes >= BATCH_BYTES_MAX) break;
      this.#queue.delete(content.ino);
      content.seal = new SealRun();
      batch.push(content);
      bytes += content.stagedBytes;
    }
    return batch;
  }

  async #sealBatch(batch: readonly NodeContent[]): Promise<void> {
    const stored = await this.#storeBatch(batch);
    if (stored.some(({ sealed }) => sealed.stored)) {
      try {
        await this.#options.blocks.sync();
      } catch (thrown) {
        for (const { content, run } of stored) this.#failed(content, run, thrown);
        return;
      }
    }
    const commits: Promise<void>[] = [];
    for (const each of stored) {
      if (each.run.abandoned) this.#end(each.content, each.run);
      else commits.push(this.#commit(each));
      await this.#yield();
    }
    await Promise.all(commits);
  }

  async #storeBatch(batch: readonly NodeContent[]): Promise<Stored[]> {
    const stored: Stored[] = [];
    this.#turnStartMs = performance.now();
    const waiting = [...batch];
    const storeNext = async (): Promise<void> => {
      for (let content = waiting.shift(); content !== undefined; content = waiting.shift()) {
        const one = await this.#storeOne(content);
        if (one !== undefined) stored.push(one);
        await this.#yield();
      }
    };
    await Promise.all(Array.from({ length: this.#options.filesAtOnce }, storeNext));
    return stored;
  }

  /** Undefined when there is nothing to commit now. */
  async #storeOne(content: NodeContent): Promise<Stored | undefined> {
    const run = content.seal;
    if (run === undefined || run.checkpoint) return undefined;
    try {
      if (run.abandoned) {
        this.#end(content, run);
        return undefined;
      }
      // A single block costs no space where it is linked, and little where it is not.
      if (content.stagedBytes > BLOCK_BYTES && !this.#options.hasRoom(content.stagedBytes)) {
        this.#postpone(content, run);
        return undefined;
      }
      run.step('storing');
      if (!(await this.#exists(content))) {
        this.#committed(content, run, undefined, 'gone');
        return undefined;
      }
      const sealed = await this.#options.files.seal(content, run);
      if (sealed === undefined) {
        this.#defer(content, run);
        return undefined;
      }
      content.linkedTo = sealed.linkedTo ?? content.linkedTo;
      run.step('waiting');
      return { content, run, sealed };
    } catch (thrown) {
      if (run.abandoned) this.#end(content, run);
      else this.#failed(content, run, thrown);
      return undefined;
    }
  }

  async #exists(content: NodeContent): Promise<boolean> {
    return this.#options.shared === undefined || this.#options.shared.exists(content.ino);
  }

  async #commit({ content, run, sealed }: Stored): Promise<void> {
    run.step('committing');
    try {
      const outcome = await this.#publish(content, sealed, content.writers > 0);
      this.#retryMs = RETRY_FIRST_MS;
      this.#committed(content, run, sealed.readersMtimeNs, outcome);
    } catch (thrown) {
      this.#failed(content, run, thrown);
    }
  }

  /** Commits what was sealed, if it is anything new; the content's base is then the version that it made. */
  async #publish(content: NodeContent, sealed: SealedFile, keepWrite: boolean): Promise<CommitOutcome> {
    const unchanged = isUnchanged(content, sealed);
    if (content.suspect && !unchanged) return 'conflict';
    if (unchanged && (content.suspect || this.#options.shared === undefined)) return 'committed';
    const { base } = content;
    const { manifest, size, allocatedBytes } = sealed;
    const sources = sourcesOf(sealed, base.sources, this.#options.blocks.site);
    const { mtimeNs } = content.stat();
    const outcome = await this.#options.commit({
      ino: content.ino,
      baseVersion: base.version,
      manifest,
      size,
      allocatedBytes,
      sources,
      mtimeNs,
      keepWrite,
    });
    if (outcome === 'committed') {
      content.base = { version: base.version + 1, manifest, size, allocatedBytes, sources };
      content.manifest = undefined;
    }
    return outcome;
  }

  #committed(
    content: NodeContent,
    run: SealRun,
    readersMtimeNs: bigint | undefined,
    outcome: CommitOutcome,
  ): void {
    if (outcome === 'committed' && readersMtimeNs !== undefined && !content.isOpen && !run.abandoned) {
      // Whether it is still mapped by somebody shows only now that its readers are gone: seal it once more.
      this.#end(content, run);
      this.enqueue(content);
      return;
    }
    if (outcome !== 'committed' || !run.abandoned) {
      this.#options.sealed(content, outcome);
      content.sealedMtimeNs = readersMtimeNs;
    } else this.#options.committedBeneath(content);
    this.#end(content, run);
  }

  #end(content: NodeContent, run: SealRun): void {
    if (content.seal === run) content.seal = undefined;
    run.step('waiting');
  }

  #failed(content: NodeContent, run: SealRun, thrown: unknown): void {
    const error = toGfsError(thrown);
    this.#lastError = error;
    if (this.#deferred.size === 0) {
      const fields = { ino: content.ino, retryMs: this.#retryMs, ...errorFields(error) };
      this.#options.logger.error('a staged file could not be sealed; it stays staged', fields);
      this.#retryAtMs = this.#options.clock.monotonicMs() + this.#retryMs;
      this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2);
    }
    this.#defer(content, run);
  }

  /** No failure: what is staged stays so until the disk has room for its copy. */
  #postpone(content: NodeContent, run: SealRun): void {
    this.#lastError = new GfsError('ENOSPC', 'the disk is too full to store what is staged');
    if (this.#deferred.size === 0) {
      const fields = { ino: content.ino, bytes: content.stagedBytes, retryMs: RETRY_MAX_MS };
      this.#options.logger.warn('the disk is too full to store staged files; they stay staged', fields);
      this.#retryAtMs = this.#options.clock.monotonicMs() + RETRY_MAX_MS;
    }
    this.#defer(content, run);
  }

  #defer(content: NodeContent, run: SealRun): void {
    if (this.#deferred.size === 0) {
      const atMs = this.#options.clock.monotonicMs() + RETRY_FIRST_MS;
      this.#retryAtMs = Math.max(this.#retryAtMs, atMs);
    }
    if (!run.abandoned && content.writers === 0) this.#deferred.set(content.ino, content);
    this.#end(content, run);
  }

  #requeueDeferred(): void {
    for (const [ino, content] of this.#deferred) {
      content.sealAtMs = 0;
      this.#queue.set(ino, content);
    }
    this.#deferred.clear();
  }

  async #yield(): Promise<void> {
    if (performance.now() - this.#turnStartMs < TURN_MS) return;
    await new Promise(setImmediate);
    this.#turnStartMs = performance.now();
  }
}
