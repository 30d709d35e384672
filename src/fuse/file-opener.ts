import { type Ino } from '../core/index.js';
import { InodeFlag, type InodeRecord, S_ISGID, S_ISUID } from '../namespace/index.js';
import type { OpenContent } from '../transfer/index.js';
import { liveAttributes } from './attributes.js';
import { type FilesystemContext, requireInode } from './context.js';
import type { OpenFile, OpenIntent, OpenTable } from './open-table.js';

/**
 * Opens and closes the content of regular files: decides between passthrough and the process, and brings
 * the inode's record up to date with what was written.
 */
export class FileOpener {
  readonly #context: FilesystemContext;
  readonly #table: OpenTable;

  constructor(context: FilesystemContext, table: OpenTable) {
    this.#context = context;
    this.#table = table;
  }

  /** Enters the content of a file that was created just now. */
  created(record: InodeRecord, content: OpenContent): OpenFile {
    const file: OpenFile = {
      ino: record.ino,
      content,
      handles: 1,
      writers: 1,
      mode: this.#chooseMode(record, content),
      knownMtimeNs: undefined,
      knownAtimeNs: undefined,
      pagedWriters: 0,
      fresh: true,
      refreshing: undefined,
      overtaken: undefined,
    };
    // Where files are shared the staged file says when it was changed last: not before it was made.
    if (this.#context.leases !== undefined) content.setTimes(record.atimeNs, record.mtimeNs);
    this.#table.files.set(record.ino, file);
    return file;
  }

  open(ino: Ino, intent: OpenIntent): Promise<OpenFile> {
    return this.#table.serial(ino, () => this.#open(ino, intent));
  }

  close(file: OpenFile, intent: OpenIntent): Promise<void> {
    return this.#table.serial(file.ino, () => this.#close(file, intent));
  }

  /** Opens for writing, works, closes; nothing else opens, closes or resizes the file meanwhile. */
  withWritable<T>(
    ino: Ino,
    intent: 'write' | 'truncate',
    work: (file: OpenFile, record: InodeRecord) => Promise<T>,
  ): Promise<T> {
    const { client, leases } = this.#context;
    return this.#table.serial(ino, async () => {
      const file = await this.#open(ino, intent);
      try {
        const run = async (): Promise<T> => work(file, requireInode(await client.inode(ino), ino));
        return await (leases === undefined ? run() : leases.run(file, 'write', run));
      } finally {
        await this.#close(file, intent);
      }
    });
  }

  /** The record's times were set on purpose: the staged file takes them, so that a crash keeps them. */
  recordTimes(record: InodeRecord): void {
    const file = this.#table.files.get(record.ino);
    const content = file?.content ?? this.#context.content.peek(record.ino);
    if (content?.staged === true) content.setTimes(record.atimeNs, record.mtimeNs);
    if (file === undefined) return;
    const live = file.content.stat();
    file.knownMtimeNs = live.mtimeNs;
    file.knownAtimeNs = live.atimeNs;
  }

  /**
   * Publishes size and times of what was written (or read by the kernel) so far. Where files are shared they are
   * published with the content, and who asks before that asks this mount.
   */
  async publish(file: OpenFile): Promise<void> {
    const { client, leases } = this.#context;
    if (leases !== undefined) return;
    const record = await client.inode(file.ino);
    if (record === undefined) return;
    const live = liveAttributes(record, file, this.#context.options);
    const same =
      live.size === record.size &&
      live.allocatedBytes === record.allocatedBytes &&
      live.mtimeNs === record.mtimeNs &&
      live.atimeNs === record.atimeNs;
    // A file that was made and never written keeps the times of its making.
    const untouched = file.knownMtimeNs === undefined && live.size === 0 && record.size === 0;
    if (same || untouched) return;
    this.#context.clock.observe(live.mtimeNs);
    await client.execute({
      kind: 'setattr',
      ino: file.ino,
      timeNs: live.ctimeNs,
      ctimeNs: live.ctimeNs,
      size: live.size,
      allocatedBytes: live.allocatedBytes,
      mtimeNs: live.mtimeNs,
      atimeNs: live.atimeNs,
    });
    const now = file.content.stat();
    file.knownMtimeNs = now.mtimeNs;
    file.knownAtimeNs = now.atimeNs;
  }

  async #open(ino: Ino, intent: OpenIntent): Promise<OpenFile> {
    const { client, leases } = this.#context;
    const existing = this.#table.files.get(ino);
    // The first writer's open sets the staged file's times from the record: it must know what was read.
    if (existing?.writers === 0 && intent !== 'read') await this.publish(existing);
    if (leases === undefined) return this.#enter(requireInode(await client.inode(ino), ino), intent);
    // What is truncated is changed at once; else the write lease is asked for by the first change.
    return leases.withLease(ino, intent === 'truncate' ? 'write' : 'read', async (record) => {
      if (existing !== undefined) await leases.bringUpToDate(existing, record);
      return this.#enter(record, intent);
    });
  }

  /** One more open of the record's content. */
  async #enter(record: InodeRecord, intent: OpenIntent): Promise<OpenFile> {
    const { ino } = record;
    const content = await this.#context.content.open(record, intent);
    const file: OpenFile = this.#table.files.get(ino) ?? {
      ino,
      content,
      handles: 0,
      writers: 0,
      mode: this.#chooseMode(record, content),
      knownMtimeNs: undefined,
      knownAtimeNs: content.stat().atimeNs,
      pagedWriters: 0,
      fresh: content.version >= record.version,
      refreshing: undefined,
      overtaken: undefined,
    };
    file.content = content;
    this.#table.files.set(ino, file);
    file.handles++;
    if (intent === 'read') return file;
    file.writers++;
    if (file.writers === 1 && this.#context.leases === undefined) {
      content.setTimes(record.atimeNs, record.mtimeNs);
      const live = content.stat();
      file.knownMtimeNs = live.mtimeNs;
      file.knownAtimeNs = live.atimeNs;
    }
    return file;
  }

  async #close(file: OpenFile, intent: OpenIntent): Promise<void> {
    try {
      await this.publish(file);
    } finally {
      if (intent !== 'read') file.writers--;
      if (file.writers === 0) file.overtaken = undefined;
      file.handles--;
      if (file.handles === 0) {
        this.#table.files.delete(file.ino);
        if (file.mode.kind === 'passthrough') this.#context.passthrough?.close(file.mode.backingId);
      }
      this.#context.content.close(file.content, intent);
    }
  }

  /**
   * Passthrough, where the kernel offers it and the file is wholly here. A write that must take setuid,
   * setgid or capabilities away has to be seen by this process.
   */
  #chooseMode(record: InodeRecord, content: OpenContent): OpenFile['mode'] {
    const { passthrough } = this.#context;
    const privileged =
      (record.mode & (S_ISUID | S_ISGID)) !== 0 || (record.flags & InodeFlag.hasCapability) !== 0;
    if (passthrough === undefined || privileged || !content.whole) return { kind: 'process' };
    const backingId = passthrough.open(content.fd);
    return backingId === undefined ? { kind: 'process' } : { kind: 'passthrough', backingId };
  }
}
