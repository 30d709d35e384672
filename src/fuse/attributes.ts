import { GfsError, type Ino, type Name, type TimeNs, timeNs } from '../core/index.js';
import {
  FILE_BYTES_MAX,
  type InodeRecord,
  isDirectory,
  isRegular,
  type SetattrCommand,
} from '../namespace/index.js';
import { type FilesystemContext, type FilesystemOptions, requireInode } from './context.js';
import type { FileOpener } from './file-opener.js';
import type { OpenFile, OpenTable } from './open-table.js';
import { type CallingProcess, privilegesLost, requireMayLoseSetid } from './privileges.js';
import type { Attributes, Validity } from './protocol/reply.js';

/** A directory's size as `stat` shows it: one disk block, as ext4 shows for a small one. */
const DIRECTORY_BYTES = 4096;

/** Two ticks of the slowest kernel (HZ=250 gives 4 ms); enough for CREATE's own permission check. */
const OPEN_FOR_WRITING_NSEC = 10_000_000;

const DAY_NS = 86_400_000_000_000n;

type TimeChange = { readonly kind: 'now' } | { readonly kind: 'at'; readonly ns: bigint };

/** What SETATTR asks to change; undefined stays. */
export interface AttributeChange {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: TimeChange;
  readonly mtime?: TimeChange;
  /** The caller may not keep setuid and setgid over a change of size. */
  readonly killSuidSgid: boolean;
  readonly caller: CallingProcess;
}

/** getattr and setattr: the inode's record, and, while a file is open for writing, its staged file. */
export class AttributeOperations {
  readonly #context: FilesystemContext;
  readonly #table: OpenTable;
  readonly #opener: FileOpener;
  /** Times of access that the coordinator is being told: shown here already. */
  readonly #touched = new Map<Ino, TimeNs>();

  constructor(context: FilesystemContext, table: OpenTable, opener: FileOpener) {
    this.#context = context;
    this.#table = table;
    this.#opener = opener;
  }

  async get(ino: Ino): Promise<InodeRecord> {
    const { client, leases } = this.#context;
    await leases?.settled(ino);
    const record = requireInode(await client.inode(ino), ino);
    return leases === undefined ? record : leases.newest(record);
  }

  /** The record's attributes, brought up to date from the staged file where one is open. */
  of(record: InodeRecord): Attributes {
    const live = isRegular(record) ? this.#live(record) : record;
    const touchedNs = this.#touched.size === 0 ? undefined : this.#touched.get(record.ino);
    if (live.mtimeNs !== record.mtimeNs) this.#context.clock.observe(live.mtimeNs);
    const bytes = isDirectory(record) ? DIRECTORY_BYTES : live.allocatedBytes;
    return {
      ino: record.ino,
      size: isDirectory(record) ? DIRECTORY_BYTES : live.size,
      blocks: Math.ceil(bytes / 512),
      atimeNs: touchedNs !== undefined && touchedNs > live.atimeNs ? touchedNs : live.atimeNs,
      mtimeNs: live.mtimeNs,
      ctimeNs: live.ctimeNs,
      mode: record.mode,
      nlink: record.nlink,
      uid: record.uid,
      gid: record.gid,
      rdev: record.rdev,
    };
  }

  /** A regular file's record, with what its staged content knows better. */
  #live(record: InodeRecord): InodeRecord {
    const { leases, options } = this.#context;
    if (leases !== undefined) {
      const live = leases.liveAttributes(record.ino);
      if (live === undefined) return record;
      const ctimeNs = live.ctimeNs > record.ctimeNs ? live.ctimeNs : record.ctimeNs;
      return { ...record, ...live, atimeNs: record.atimeNs, ctimeNs };
    }
    const file = this.#table.files.get(record.ino);
    return file === undefined ? record : { ...record, ...liveAttributes(record, file, options) };
  }

  /**
   * While the kernel may write a file without telling (a memory map under passthrough), its attributes hold
   * no longer than the grain of the kernel's own time stamps; all others hold until they are changed, as far
   * as the coordinator will tell when somebody else changes them.
   */
  validityOf(ino: number, shown: Shown = {}): Validity {
    const sec = this.#context.options.validitySec;
    const { client, leases } = this.#context;
    if (leases !== undefined) {
      const { named, record } = shown;
      const meaning = record === undefined ? 'absent' : record.ino;
      const entry = named !== undefined && client.entryLeased(named.parent, named.name as Name, meaning);
      const attributes = client.attributesLeased(ino as Ino, record);
      return { entrySec: entry ? sec : 0, attrSec: attributes ? sec : 0, attrNsec: 0 };
    }
    const file = this.#table.files.get(ino as Ino);
    if (file === undefined || file.writers === 0) return { entrySec: sec, attrSec: sec, attrNsec: 0 };
    return { entrySec: sec, attrSec: 0, attrNsec: OPEN_FOR_WRITING_NSEC };
  }

  async set(ino: Ino, change: AttributeChange): Promise<InodeRecord> {
    const { client } = this.#context;
    if (change.size !== undefined) return this.#setSize(ino, change, change.size);
    if (this.#context.leases !== undefined) return this.#setShared(ino, change);
    const record = requireInode(await client.inode(ino), ino);
    // Of the two times only one is set: the other must not fall back to what the record knows.
    const file = this.#table.files.get(ino);
    if (file !== undefined && (change.atime === undefined) !== (change.mtime === undefined)) {
      await this.#opener.publish(file);
    }
    const nowNs = this.#context.clock.wallNs();
    const command = this.#command(record, change, nowNs);
    const { inode } = await client.execute(command);
    if (isRegular(record) && (command.atimeNs !== undefined || command.mtimeNs !== undefined)) {
      this.#opener.recordTimes(inode);
    }
    return inode;
  }

  /**
   * Where files are shared. Times of a staged file are set in it before the coordinator is told: content that
   * is published meanwhile has them then, and not those of the last write.
   */
  async #setShared(ino: Ino, change: AttributeChange): Promise<InodeRecord> {
    const { client, clock, content: cache } = this.#context;
    const record = requireInode(await client.inode(ino), ino);
    const command = this.#command(record, change, clock.wallNs());
    const content = cache.peek(ino);
    if (content?.staged === true && (command.atimeNs !== undefined || command.mtimeNs !== undefined)) {
      const live = content.stat();
      content.setTimes(command.atimeNs ?? live.atimeNs, command.mtimeNs ?? live.mtimeNs);
    }
    const { inode } = await client.execute(command);
    return this.#context.leases?.newest(inode) ?? inode;
  }

  /** Of a file that is shared, under its write lease: it is changed here, and published with its content. */
  async resize(file: OpenFile, size: number): Promise<void> {
    await file.content.truncate(size);
    const nowNs = this.#context.clock.wallNs();
    file.content.setTimes(file.content.stat().atimeNs, nowNs);
  }

  async #setSizeShared(
    file: OpenFile,
    record: InodeRecord,
    change: AttributeChange,
    size: number,
  ): Promise<InodeRecord> {
    const { client, clock } = this.#context;
    await this.resize(file, size);
    const { atimeNs: _a, mtimeNs: _m, ...command } = this.#command(record, change, clock.wallNs());
    const more = command.mode ?? command.uid ?? command.gid ?? command.killPrivileges;
    if (more === undefined) return record;
    const { inode } = await client.execute(command);
    return inode;
  }

  async #setSize(ino: Ino, change: AttributeChange, size: number): Promise<InodeRecord> {
    const { client, clock } = this.#context;
    if (size > FILE_BYTES_MAX) throw new GfsError('EFBIG', `the largest file has ${FILE_BYTES_MAX} bytes`);
    return this.#opener.withWritable(ino, size === 0 ? 'truncate' : 'write', async (file, record) => {
      if (this.#context.leases !== undefined) return this.#setSizeShared(file, record, change, size);
      await file.content.truncate(size);
      const nowNs = clock.wallNs();
      const live = file.content.stat();
      const command = this.#command(record, change, nowNs);
      const { inode } = await client.execute({
        mtimeNs: nowNs,
        atimeNs: liveAttributes(record, file, this.#context.options).atimeNs,
        ...command,
        size: live.size,
        allocatedBytes: live.allocatedBytes,
      });
      this.#opener.recordTimes(inode);
      return inode;
    });
  }

  #command(record: InodeRecord, change: AttributeChange, nowNs: TimeNs): SetattrCommand {
    // A chown that names neither owner still takes the privileges away: its SETATTR asks for nothing at all.
    const chownOfNothing =
      change.uid === undefined &&
      change.gid === undefined &&
      change.mode === undefined &&
      change.size === undefined &&
      change.atime === undefined &&
      change.mtime === undefined;
    // The kernel asks the same before a write by somebody who may not keep setuid and setgid.
    const writing = (this.#table.files.get(record.ino)?.writers ?? 0) > 0;
    if (chownOfNothing && !writing) requireMayLoseSetid(record, change.caller);
    const chown = chownOfNothing || change.uid !== undefined || change.gid !== undefined;
    const kill = chown
      ? 'all'
      : change.size === undefined
        ? undefined
        : change.killSuidSgid
          ? 'all'
          : 'capability';
    return {
      kind: 'setattr',
      ino: record.ino,
      timeNs: nowNs,
      ...(change.mode === undefined ? {} : { mode: change.mode & 0o7777 }),
      ...(change.uid === undefined ? {} : { uid: change.uid }),
      ...(change.gid === undefined ? {} : { gid: change.gid }),
      ...(change.atime === undefined ? {} : { atimeNs: resolveTime(change.atime, nowNs) }),
      ...(change.mtime === undefined ? {} : { mtimeNs: resolveTime(change.mtime, nowNs) }),
      ...(kill === undefined ? {} : privilegesLost(record, kill, change.caller)),
    };
  }

  /**
   * A read reached this process: atime by the rule of `relatime`, as local filesystems are mounted
   * (mount(8)): only when it is not later than mtime or ctime, or a day old.
   */
  async touch(ino: Ino): Promise<void> {
    if (this.#context.options.noAtime || this.#context.options.readOnly) return;
    const record = await this.#context.client.inode(ino);
    if (record === undefined) return;
    if (this.#context.options.noDirectoryAtime && isDirectory(record)) return;
    const nowNs = this.#context.clock.wallNs();
    const current = record.atimeNs > record.mtimeNs && record.atimeNs > record.ctimeNs;
    if (current && nowNs - record.atimeNs < DAY_NS) return;
    if (record.atimeNs >= nowNs) return;
    const told = this.#context.client.execute({
      kind: 'setattr',
      ino,
      timeNs: nowNs,
      atimeNs: nowNs,
      ctimeNs: record.ctimeNs,
    });
    if (!(told instanceof Promise)) return;
    this.#touched.set(ino, nowNs);
    try {
      await told;
    } finally {
      if (this.#touched.get(ino) === nowNs) this.#touched.delete(ino);
    }
  }
}

/** What the kernel is about to be told: a record, and the name that it has, or a name that means nothing. */
interface Shown {
  readonly record?: InodeRecord;
  readonly named?: Named | undefined;
}

/** A name in a directory, bytes as characters. */
export interface Named {
  readonly parent: Ino;
  readonly name: string;
}

const resolveTime = (change: TimeChange, nowNs: TimeNs): TimeNs =>
  change.kind === 'now' ? nowNs : timeNs(change.ns);

/** What the staged file of an open file says that the record does not know yet. */
export function liveAttributes(
  record: InodeRecord,
  file: OpenFile,
  { noAtime }: Pick<FilesystemOptions, 'noAtime'>,
): Pick<InodeRecord, 'size' | 'allocatedBytes' | 'atimeNs' | 'mtimeNs' | 'ctimeNs'> {
  const live = file.content.stat();
  const written = file.content.staged && live.mtimeNs !== file.knownMtimeNs;
  const read = !noAtime && file.mode.kind === 'passthrough' && live.atimeNs !== file.knownAtimeNs;
  return {
    size: file.content.staged ? live.size : record.size,
    allocatedBytes: file.content.staged ? live.allocatedBytes : record.allocatedBytes,
    atimeNs: read && live.atimeNs > record.atimeNs ? live.atimeNs : record.atimeNs,
    mtimeNs: written ? live.mtimeNs : record.mtimeNs,
    ctimeNs: written && live.mtimeNs > record.ctimeNs ? live.mtimeNs : record.ctimeNs,
  };
}
