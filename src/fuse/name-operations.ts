import { GfsError, type Ino, parseName } from '../core/index.js';
import {
  type Caller,
  type CommandResult,
  type InodeRecord,
  isDirectory,
  S_IFMT,
  S_IFREG,
} from '../namespace/index.js';
import { type FilesystemContext, requireInode } from './context.js';
import type { FileOpener } from './file-opener.js';
import type { OpenFile, OpenTable } from './open-table.js';
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from './protocol/constants.js';

/** A new inode's mode bits as the caller gave them, and the umask that the namespace applies. */
export interface NewMode {
  readonly mode: number;
  readonly umask: number;
}

/** Operations on names: lookup, and everything that makes, moves or removes one. */
export class NameOperations {
  readonly #context: FilesystemContext;
  readonly #table: OpenTable;
  readonly #opener: FileOpener;

  constructor(context: FilesystemContext, table: OpenTable, opener: FileOpener) {
    this.#context = context;
    this.#table = table;
    this.#opener = opener;
  }

  /** Undefined when there is no such name. `.` and `..` are asked for by file handles (NFS export). */
  async lookup(parent: Ino, raw: string): Promise<InodeRecord | undefined> {
    const { client } = this.#context;
    if (raw === '.' || raw === '..') {
      const record = await client.inode(parent);
      if (record === undefined || raw === '.') return record;
      return requireInode(await client.inode(record.parent as Ino), record.parent);
    }
    const name = parseName(raw);
    const record = await client.lookup(parent, name);
    const { leases, readAhead } = this.#context;
    if (record === undefined || leases === undefined) return record;
    readAhead?.seen(parent, name, record);
    return leases.newest(record);
  }

  /** O_CREAT: makes the file and opens it. An existing one (another mount was faster) is opened. */
  async create(
    parent: Ino,
    raw: string,
    { mode, umask }: NewMode,
    caller: Caller,
    exclusive: boolean,
  ): Promise<{ inode: InodeRecord; file: OpenFile }> {
    const { client, clock } = this.#context;
    const name = parseName(raw);
    const ino = await client.nextIno();
    const fileMode = S_IFREG | (mode & ~S_IFMT);
    return this.#withNewContent(ino, async () => {
      try {
        const command = { parent, name, ino, caller, mode: fileMode, umask, timeNs: clock.wallNs() };
        return await client.execute({ kind: 'create', ...command });
      } catch (thrown) {
        if (!(thrown instanceof GfsError) || thrown.code !== 'EEXIST' || exclusive) throw thrown;
        return undefined;
      }
    }).then(async (made) => {
      if (made !== undefined) return made;
      const existing = await client.lookup(parent, name);
      if (existing === undefined) throw new GfsError('ENOENT', `${name} was removed while it was opened`);
      const file = await this.#opener.open(existing.ino, 'write');
      return { inode: existing, file };
    });
  }

  /** O_TMPFILE: a file without a name. */
  async tmpfile(
    parent: Ino,
    { mode, umask }: NewMode,
    caller: Caller,
  ): Promise<{ inode: InodeRecord; file: OpenFile }> {
    const { client, clock } = this.#context;
    const ino = await client.nextIno();
    const made = await this.#withNewContent(ino, async () =>
      client.execute({
        kind: 'tmpfile',
        parent,
        ino,
        caller,
        mode: S_IFREG | (mode & ~S_IFMT),
        umask,
        timeNs: clock.wallNs(),
      }),
    );
    if (made === undefined) throw new GfsError('INTERNAL', 'a file without a name cannot exist already');
    return made;
  }

  /** The staging file comes first: where the disk is full, no name must be left without content. */
  async #withNewContent(
    ino: Ino,
    make: () => Promise<CommandResult | undefined>,
  ): Promise<{ inode: InodeRecord; file: OpenFile } | undefined> {
    const { content } = this.#context;
    const opened = content.create(ino);
    let result: CommandResult | undefined;
    try {
      result = await make();
    } finally {
      if (result === undefined) {
        content.close(opened, 'write');
        await content.discard(ino);
      }
    }
    return result === undefined
      ? undefined
      : { inode: result.inode, file: this.#opener.created(result.inode, opened) };
  }

  async mkdir(parent: Ino, raw: string, mode: NewMode, caller: Caller): Promise<InodeRecord> {
    const name = parseName(raw);
    const { inode } = await this.#context.client.execute({
      kind: 'mkdir',
      parent,
      name,
      ino: await this.#context.client.nextIno(),
      caller,
      ...mode,
      timeNs: this.#context.clock.wallNs(),
    });
    return inode;
  }

  async mknod(parent: Ino, raw: string, mode: NewMode, rdev: number, caller: Caller): Promise<InodeRecord> {
    const name = parseName(raw);
    const { inode } = await this.#context.client.execute({
      kind: 'mknod',
      parent,
      name,
      ino: await this.#context.client.nextIno(),
      caller,
      ...mode,
      rdev,
      timeNs: this.#context.clock.wallNs(),
    });
    return inode;
  }

  async symlink(parent: Ino, raw: string, target: string, caller: Caller): Promise<InodeRecord> {
    const name = parseName(raw);
    const { inode } = await this.#context.client.execute({
      kind: 'symlink',
      parent,
      name,
      target,
      ino: await this.#context.client.nextIno(),
      caller,
      timeNs: this.#context.clock.wallNs(),
    });
    return inode;
  }

  async link(ino: Ino, parent: Ino, raw: string): Promise<InodeRecord> {
    const name = parseName(raw);
    const timeNs = this.#context.clock.wallNs();
    const { inode } = await this.#context.client.execute({ kind: 'link', ino, parent, name, timeNs });
    return inode;
  }

  async remove(kind: 'unlink' | 'rmdir', parent: Ino, raw: string): Promise<void> {
    const name = parseName(raw);
    const timeNs = this.#context.clock.wallNs();
    const { orphaned } = await this.#context.client.execute({ kind, parent, name, timeNs });
    if (orphaned !== undefined) await this.reapIfUnused(orphaned.ino);
  }

  async rename(parent: Ino, raw: string, newParent: Ino, newRaw: string, flags: number): Promise<void> {
    const name = parseName(raw);
    const newName = parseName(newRaw);
    const { orphaned } = await this.#context.client.execute({
      kind: 'rename',
      parent,
      name,
      newParent,
      newName,
      mode: renameMode(flags),
      timeNs: this.#context.clock.wallNs(),
    });
    if (orphaned !== undefined) await this.reapIfUnused(orphaned.ino);
  }

  async readlink(ino: Ino): Promise<string> {
    const record = requireInode(await this.#context.client.inode(ino), ino);
    if (record.target === '') throw new GfsError('EINVAL', `inode ${ino} is no symbolic link`);
    return record.target;
  }

  /** The kernel forgets `count` lookups of an inode; an orphan that nobody knows any more goes. */
  forget(ino: Ino, count: number): void {
    if (!this.#table.forget(ino, count)) return;
    this.reapIfUnused(ino).catch((thrown: unknown) => {
      this.#context.logger.error('an unlinked inode could not be deleted; fsck will find it', {
        ino,
        error: String(thrown),
      });
    });
  }

  /** Deletes an inode without a name, and its content, once it is neither open nor known to the kernel. */
  async reapIfUnused(ino: Ino): Promise<void> {
    if (!this.#table.isUnused(ino)) return;
    const { client, discards, leases } = this.#context;
    if (leases !== undefined) {
      // What is staged is held until it is published; then this is called again. Whether an orphan may go is for the
      // coordinator to say.
      if (!leases.inUse(ino)) client.unused(ino);
      return;
    }
    const record = await client.inode(ino);
    if (record === undefined || !isOrphan(record)) return;
    await client.execute({ kind: 'reap', ino });
    if ((record.mode & S_IFMT) === S_IFREG) discards.add(ino);
  }
}

const isOrphan = (record: InodeRecord): boolean =>
  record.nlink === 0 || (isDirectory(record) && record.nlink < 2);

function renameMode(flags: number): 'replace' | 'noreplace' | 'exchange' {
  switch (flags) {
    case 0:
      return 'replace';
    case RENAME_NOREPLACE:
      return 'noreplace';
    case RENAME_EXCHANGE:
      return 'exchange';
    default:
      throw new GfsError('EINVAL', `rename flags ${flags} are not known`);
  }
}
