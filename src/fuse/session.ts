import { closeSync, openSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import type { NamespaceClient } from '../coordinator/index.js';
import {
  errorFields,
  type GfsError,
  type KernelClock,
  type Logger,
  NAME_BYTES_MAX,
  native,
  toGfsError,
} from '../core/index.js';
import type { ContentCache } from '../transfer/index.js';
import { AttributeOperations } from './attributes.js';
import type { FilesystemContext, FilesystemOptions, Passthrough } from './context.js';
import { FuseDevice } from './device.js';
import { DirectoryReadAhead } from './directory-read-ahead.js';
import { DiscardQueue } from './discard-queue.js';
import { DirectoryOperations } from './directory-operations.js';
import { FileOpener } from './file-opener.js';
import { FileOperations } from './file-operations.js';
import { type HandlerTable, makeHandlers } from './handlers.js';
import { FileLeases } from './file-leases.js';
import { KernelNotifier } from './kernel-notifier.js';
import { LockOperations } from './lock-operations.js';
import { NameOperations } from './name-operations.js';
import { negotiate, type Negotiated, type Wishes } from './negotiation.js';
import { OpenTable } from './open-table.js';
import { PageMemory } from './page-memory.js';
import { Opcode } from './protocol/constants.js';
import type { FilesystemStatistics } from './protocol/reply.js';
import type { RequestReader } from './protocol/request.js';
import { Replier } from './replier.js';
import { XattrOperations } from './xattr-operations.js';

/** Free inodes that `df -i` shows: nothing but the disk bounds them. */
const FILES_FREE = 2 ** 32;
const ENOSYS = 38;

export interface SessionParts {
  readonly fd: number;
  readonly client: NamespaceClient;
  readonly content: ContentCache;
  readonly clock: KernelClock;
  readonly logger: Logger;
  readonly options: FilesystemOptions;
  readonly wishes: Wishes;
}

export interface SessionStatistics {
  readonly protocol: string;
  readonly passthrough: boolean;
  readonly openHandles: number;
  readonly knownInodes: number;
  /** Requests served, by opcode name. */
  readonly requests: Readonly<Record<string, number>>;
}

/** One mount's conversation with the kernel, from INIT to the unmount. */
export class FuseSession {
  readonly #parts: SessionParts;
  readonly #device: FuseDevice;
  readonly #table = new OpenTable();
  readonly #kernel: KernelNotifier;
  readonly #leases: FileLeases | undefined;
  readonly #opener: FileOpener;
  readonly #discards: DiscardQueue;
  readonly #replier: Replier;
  readonly #handlers: HandlerTable;
  readonly #interruptible = new Map<number, AbortController>();
  readonly #counts = new Map<number, number>();
  #negotiated: Negotiated | undefined;
  #refusal: GfsError | undefined;
  #onAnswered: () => void = () => undefined;
  /** Resolves when the kernel's first request (INIT) was answered; with a refusal `serve` ends. */
  readonly answered = new Promise<void>((resolve) => (this.#onAnswered = resolve));

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#device = new FuseDevice(parts.fd);
    this.#discards = new DiscardQueue(parts.client, parts.content, parts.logger);
    const table = this.#table;
    const kernel = (this.#kernel = new KernelNotifier(this.#device, table, parts.logger));
    const pages = new PageMemory();
    this.#leases = parts.wishes.sharedContent
      ? new FileLeases({ ...parts, kernel, table, pages })
      : undefined;
    if (this.#leases !== undefined) parts.client.serve(this.#leases);
    const context: FilesystemContext = {
      ...parts,
      discards: this.#discards,
      kernel,
      leases: this.#leases,
      readAhead: parts.wishes.sharedContent ? new DirectoryReadAhead(parts) : undefined,
      passthrough: parts.wishes.passthrough && !parts.wishes.sharedContent ? this.#passthrough() : undefined,
    };
    this.#opener = new FileOpener(context, table);
    const attributes = new AttributeOperations(context, table, this.#opener);
    const names = new NameOperations(context, table, this.#opener);
    const flushOnClose = parts.wishes.sharedLocks;
    const files = new FileOperations(context, table, this.#opener, attributes, { pages, flushOnClose });
    parts.content.whenClean((ino) => {
      names.reapIfUnused(ino).catch((thrown: unknown) => {
        parts.logger.warn('a deleted file may be kept longer than it must', { ino, ...errorFields(thrown) });
      });
    });
    this.#replier = new Replier(this.#device, {
      attributes,
      names,
      files,
      table,
      client: parts.client,
      logger: parts.logger,
      shared: parts.wishes.sharedContent,
    });
    this.#handlers = makeHandlers({
      replier: this.#replier,
      table,
      attributes,
      names,
      files,
      directories: new DirectoryOperations(context, table, attributes),
      xattrs: new XattrOperations(context),
      locks: new LockOperations(parts.client),
      interruptible: (unique, work) => this.#runInterruptible(unique, work),
      statistics: () => this.#statistics(),
      syncAll: () => this.#syncAll(),
    });
  }

  /**
   * Serves until the filesystem is unmounted, then closes what was still open.
   * @throws GfsError when the kernel's protocol is too old, or its device fails
   */
  async serve(): Promise<void> {
    try {
      await this.#device.serve((request) => this.#handle(request));
    } finally {
      this.#leases?.stop();
      this.#kernel.stop();
      await this.#closeAll();
    }
    this.checkServing();
  }

  /** Nobody has anything open any more: what was open is closed, what has no name goes. */
  async #closeAll(): Promise<void> {
    const { client } = this.#parts;
    for (const [fh, handle] of [...this.#table.fileHandles()]) {
      this.#table.remove(fh);
      await this.#opener.close(handle.file, handle.intent);
    }
    for (const ino of await client.orphans()) {
      await client.execute({ kind: 'reap', ino });
      this.#discards.add(ino);
    }
    await this.#discards.drain();
  }

  /** Ends `serve` though files may be open: who uses them gets errors from then on. */
  stop(): void {
    this.#device.stop();
  }

  /** @throws GfsError ENOSYS when the kernel was refused: its protocol is too old */
  checkServing(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  /** What the kernel believes of names and attributes may be wrong: it asks for all of it again. */
  forgetAll(): void {
    this.#kernel.forgetAll();
  }

  statistics(): SessionStatistics {
    const requests = [...this.#counts].map(
      ([opcode, count]) => [Opcode[opcode] ?? `${opcode}`, count] as const,
    );
    return {
      protocol: this.#negotiated === undefined ? 'none' : `7.${this.#negotiated.minor}`,
      passthrough: this.#negotiated?.passthrough ?? false,
      openHandles: this.#table.handleCount,
      knownInodes: this.#table.knownInodes,
      requests: Object.fromEntries(requests),
    };
  }

  #handle(request: RequestReader): void {
    const { opcode, unique, nodeid: ino } = request;
    this.#counts.set(opcode, (this.#counts.get(opcode) ?? 0) + 1);
    const handler = this.#handlers.get(opcode);
    if (handler === undefined) {
      this.#handleOther(opcode, unique, request);
      return;
    }
    const locked = this.#leases === undefined ? undefined : lockedDirectories(request);
    for (const directory of locked ?? []) this.#kernel.directoryBusy(directory);
    const free = (): void => {
      for (const directory of locked ?? []) this.#kernel.directoryFree(directory);
    };
    try {
      const work = handler(request, unique);
      if (work === undefined) free();
      else {
        work.catch((thrown: unknown) => this.#replier.error(unique, thrown, { opcode, ino })).finally(free);
      }
    } catch (thrown) {
      this.#replier.error(unique, thrown, { opcode, ino });
      free();
    }
  }

  #handleOther(opcode: number, unique: number, request: RequestReader): void {
    switch (opcode as Opcode) {
      case Opcode.INTERRUPT: // of a request that was answered meanwhile: nothing to do
        this.#interruptible.get(request.u64(0))?.abort();
        return;
      case Opcode.INIT:
        this.#init(request);
        return;
      case Opcode.DESTROY:
        this.#replier.ok(unique);
        return;
      default:
        this.#device.sendErrno(unique, ENOSYS);
    }
  }

  #init(request: RequestReader): void {
    try {
      const negotiated = negotiate(request, this.#device.reply, this.#parts.wishes);
      this.#negotiated = negotiated ?? this.#negotiated;
      this.#kernel.minor = this.#negotiated?.minor ?? 0;
      this.#device.send();
    } catch (thrown) {
      this.#refusal = toGfsError(thrown);
      this.#device.sendError(request.unique, thrown);
      this.#device.stop();
    }
    this.#onAnswered();
  }

  async #runInterruptible<T>(unique: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#interruptible.set(unique, controller);
    try {
      return await work(controller.signal);
    } finally {
      this.#interruptible.delete(unique);
    }
  }

  #passthrough(): Passthrough {
    let refusals = 0;
    return {
      open: (fd) => {
        if (this.#negotiated?.passthrough !== true) return undefined;
        try {
          return native.backingOpen(this.#parts.fd, fd);
        } catch (thrown) {
          // EPERM without CAP_SYS_ADMIN, ELOOP when the state lies on a stacked filesystem: served by the process.
          if (refusals++ === 0)
            this.#parts.logger.warn('the kernel refuses passthrough', errorFields(thrown));
          return undefined;
        }
      },
      close: (backingId) => native.backingClose(this.#parts.fd, backingId),
    };
  }

  async #statistics(): Promise<FilesystemStatistics> {
    const { spaceBytes, stateDirectory } = this.#parts.options;
    const disk = spaceBytes === undefined ? await statfs(stateDirectory) : spaceOf(spaceBytes);
    const { inodes } = await this.#parts.client.statistics();
    return {
      blocks: disk.blocks,
      blocksFree: disk.bfree,
      blocksAvailable: disk.bavail,
      files: inodes + FILES_FREE,
      filesFree: FILES_FREE,
      blockBytes: disk.bsize,
      nameBytesMax: NAME_BYTES_MAX,
    };
  }

  async #syncAll(): Promise<void> {
    const fd = openSync(this.#parts.options.stateDirectory, 'r');
    try {
      await native.syncfs(fd);
    } finally {
      closeSync(fd);
    }
    await this.#parts.client.flush();
  }
}

/** Space that no disk bounds. */
function spaceOf(bytes: number): { blocks: number; bfree: number; bavail: number; bsize: number } {
  const bsize = 4096;
  const blocks = Math.floor(bytes / bsize);
  return { blocks, bfree: blocks, bavail: blocks, bsize };
}

/** The directories whose lock the kernel holds until the request is answered (linux/fs/namei.c). */
function lockedDirectories(request: RequestReader): readonly number[] | undefined {
  switch (request.opcode as Opcode) {
    case Opcode.LOOKUP:
    case Opcode.CREATE:
    case Opcode.MKNOD:
    case Opcode.MKDIR:
    case Opcode.SYMLINK:
    case Opcode.LINK:
    case Opcode.UNLINK:
    case Opcode.RMDIR:
    case Opcode.READDIR:
    case Opcode.READDIRPLUS:
    case Opcode.TMPFILE:
      return [request.nodeid];
    case Opcode.RENAME:
    case Opcode.RENAME2:
      return [request.nodeid, request.u64(0)];
    default:
      return undefined;
  }
}
