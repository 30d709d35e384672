import { errorFields, type Logger, Semaphore } from '../core/index.js';
import type { KernelCache } from './context.js';
import type { FuseDevice } from './device.js';
import type { OpenTable } from './open-table.js';

/**
 * Notifications that may wait in the kernel are written by the thread pool of 4: as many as these at once, so that
 * threads are left for the requests that they wait for. Pages are waited for while a READ or WRITE has them
 * locked, a directory while a request changes or looks up one of its names.
 */
const PAGE_NOTICES_MAX = 2;
const ENTRY_NOTICES_MAX = 1;
/** Protocol version that knows NOTIFY_INC_EPOCH (Linux 6.17); before it, stale names last until they are used. */
const EPOCH_MINOR = 44;
/** INVAL_ENTRY takes some 20 µs when nobody is in its way. */
const ENTRY_WAIT_MS = 20;

/**
 * Tells the kernel to forget. A name is forgotten under its directory's lock, and that is held by whoever makes,
 * removes or looks up a name there until its request is answered. When that answer waits for another mount,
 * which waits for us, both would wait for ever. So where requests on the directory are under way the kernel is
 * told to ask again for all names (a new epoch), which takes no lock.
 */
export class KernelNotifier implements KernelCache {
  readonly #device: FuseDevice;
  readonly #table: OpenTable;
  readonly #logger: Logger;
  readonly #pageNotices = new Semaphore(PAGE_NOTICES_MAX);
  /** Requests under way that hold a directory's lock, by inode. */
  readonly #busy = new Map<number, number>();
  /** INVAL_ENTRY under way, by directory: called when a request begins there. */
  readonly #overtaken = new Map<number, (() => void)[]>();
  #entryNotices = 0;
  #stopped = false;
  /** Of the protocol that was agreed upon; 0 before. */
  minor = 0;

  constructor(device: FuseDevice, table: OpenTable, logger: Logger) {
    this.#device = device;
    this.#table = table;
    this.#logger = logger;
  }

  /** The device is about to be closed: its descriptor may soon be another file's. */
  stop(): void {
    this.#stopped = true;
  }

  /** A request that holds the directory's lock has begun. */
  directoryBusy(ino: number): void {
    this.#busy.set(ino, (this.#busy.get(ino) ?? 0) + 1);
    for (const overtaken of this.#overtaken.get(ino) ?? []) overtaken();
  }

  directoryFree(ino: number): void {
    const left = (this.#busy.get(ino) ?? 0) - 1;
    if (left > 0) this.#busy.set(ino, left);
    else this.#busy.delete(ino);
  }

  forgetInode(ino: number, data: boolean): void {
    void this.inodeForgotten(ino, data);
  }

  inodeForgotten(ino: number, data: boolean): Promise<void> {
    const notice = (): Promise<void> => this.#tell(() => this.#device.notifyInvalInode(ino, data));
    return this.#told(data ? this.#pageNotices.run(notice) : notice(), { ino });
  }

  async entryForgotten(parent: number, name: string): Promise<void> {
    const asksAgain = this.minor >= EPOCH_MINOR;
    const free = !this.#busy.has(parent) && this.#entryNotices < ENTRY_NOTICES_MAX;
    if (!free && asksAgain) return this.#newEpoch();
    this.#entryNotices++;
    const told = this.#told(
      this.#tell(() => this.#device.notifyInvalEntry(parent, name)),
      { parent },
    ).finally(() => {
      this.#entryNotices--;
    });
    if (free && (await this.#inTime(parent, told))) return;
    if (asksAgain) await this.#newEpoch();
  }

  forgetAll(): void {
    for (const ino of this.#table.known()) this.forgetInode(ino, false);
    if (this.minor >= EPOCH_MINOR) void this.#newEpoch();
  }

  #newEpoch(): Promise<void> {
    return this.#told(
      this.#tell(() => this.#device.notifyNewEpoch()),
      {},
    );
  }

  /** False when a request has begun on the directory before the kernel was done. */
  async #inTime(parent: number, told: Promise<void>): Promise<boolean> {
    let overtaken: () => void = () => undefined;
    const began = new Promise<boolean>((resolve) => (overtaken = () => resolve(false)));
    const waiting = this.#overtaken.get(parent) ?? [];
    this.#overtaken.set(parent, [...waiting, overtaken]);
    const timer = setTimeout(overtaken, ENTRY_WAIT_MS);
    try {
      return await Promise.race([told.then(() => true), began]);
    } finally {
      clearTimeout(timer);
      const left = (this.#overtaken.get(parent) ?? []).filter((other) => other !== overtaken);
      if (left.length === 0) this.#overtaken.delete(parent);
      else this.#overtaken.set(parent, left);
    }
  }

  #tell(notice: () => Promise<void>): Promise<void> {
    return this.#stopped ? Promise.resolve() : notice();
  }

  async #told(notice: Promise<void>, what: Readonly<Record<string, unknown>>): Promise<void> {
    try {
      await notice;
    } catch (thrown) {
      this.#logger.warn('the kernel could not be told to forget', { ...what, ...errorFields(thrown) });
    }
  }
}
