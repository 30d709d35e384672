import { errorFields, type Ino, type Name } from '../core/index.js';
import { type InodeRecord, S_IFDIR } from '../namespace/index.js';
import type { AttributeOperations } from './attributes.js';
import { allOf, type FilesystemContext, requireInode } from './context.js';
import type { DirectoryHandle, OpenTable } from './open-table.js';
import { OpenReplyFlag } from './protocol/constants.js';
import type { Opened, ReplyWriter } from './protocol/reply.js';

/** Entries fetched at a time: a reply of 4 KiB holds at most 128, one of 128 KiB a thousand with attributes. */
const PAGE_ENTRIES = 256;

/** Offsets 1 and 2 are after `.` and `..`. */
const DOT_ENTRIES = 2;

/** Where a reply's entries go; one directory reply is encoded at a time. */
interface EntrySink {
  readonly reply: ReplyWriter;
  /** Bytes of payload that the caller takes. */
  readonly limit: number;
  readonly plus: boolean;
}

/** opendir, readdir with and without attributes, releasedir. */
export class DirectoryOperations {
  readonly #context: FilesystemContext;
  readonly #table: OpenTable;
  readonly #attributes: AttributeOperations;

  constructor(context: FilesystemContext, table: OpenTable, attributes: AttributeOperations) {
    this.#context = context;
    this.#table = table;
    this.#attributes = attributes;
  }

  open(ino: Ino): Opened {
    const fh = this.#table.add({ kind: 'directory', ino, names: [] });
    // The kernel keeps what it read until the directory changes (linux/fs/fuse/readdir.c), or we say so.
    const kept = this.#context.leases === undefined || this.#table.isListed(ino);
    return { fh, flags: OpenReplyFlag.CACHE_DIR | (kept ? OpenReplyFlag.KEEP_CACHE : 0), backingId: 0 };
  }

  release(fh: number): void {
    this.#table.remove(fh);
  }

  /** Names made so far survive a power cut when it resolves. */
  sync(): Promise<void> {
    return this.#context.client.flush();
  }

  /**
   * Everything that fits one reply, as a function that encodes it. Entries come in name order, live: what is removed
   * before it is reached is not shown, nothing is shown twice.
   * @param offset 0, or the `nextOffset` of an entry that this handle returned
   */
  async read(
    fh: number,
    offset: number,
    plus: boolean,
    limit: number,
  ): Promise<(reply: ReplyWriter) => void> {
    const handle = this.#table.directory(fh);
    const { client, leases, logger } = this.#context;
    const directory = requireInode(await client.inode(handle.ino), handle.ino);
    const touched = offset === 0 ? this.#attributes.touch(handle.ino) : undefined;
    if (leases === undefined) await touched;
    // Where files are shared atime is worth no round trip.
    else touched?.catch((thrown: unknown) => logger.debug('an atime was not set', errorFields(thrown)));
    handle.names.length = Math.min(handle.names.length, Math.max(0, offset - DOT_ENTRIES));
    const pages = await this.#readPage(handle, plus, limit);
    return (reply) => this.#encode({ reply, limit, plus }, handle, directory, offset, pages);
  }

  /** Enough entries for `limit` bytes, with their inodes when attributes are wanted. */
  async #readPage(handle: DirectoryHandle, plus: boolean, limit: number): Promise<Page> {
    const { client, leases } = this.#context;
    const entries: Page = [];
    // An entry takes at least 32 bytes, 160 with attributes: more than this cannot fit.
    const most = Math.ceil(limit / (plus ? 160 : 32));
    let after: Name | '' = handle.names.at(-1) ?? '';
    let bytes = 0;
    while (entries.length < most && bytes < limit) {
      const wanted = Math.min(PAGE_ENTRIES, most - entries.length);
      const found = await client.readDirectory(handle.ino, after, wanted);
      // All at once: what somebody else writes has to be asked for.
      const known = plus ? await allOf(found.map((dentry) => client.inode(dentry.ino))) : [];
      const inodes = await allOf(
        known.map((inode) => (inode === undefined ? inode : (leases?.newest(inode) ?? inode))),
      );
      for (const [i, dentry] of found.entries()) {
        const inode = inodes[i];
        after = dentry.name;
        bytes += (plus ? 152 : 24) + dentry.name.length;
        if (!plus || inode !== undefined) entries.push({ ...dentry, inode });
        if (bytes >= limit) break;
      }
      if (found.length < wanted) break;
    }
    return entries;
  }

  #encode(
    sink: EntrySink,
    handle: DirectoryHandle,
    directory: InodeRecord,
    offset: number,
    page: Page,
  ): void {
    const { reply, limit, plus } = sink;
    const { client } = this.#context;
    const validity = this.#attributes.validityOf(directory.ino);
    if (client.holds(directory.ino, 'read')) this.#table.addListed(directory.ino);
    const dots = [
      { ino: directory.ino as number, name: '.' },
      { ino: directory.parent, name: '..' },
    ];
    for (let i = offset; i < DOT_ENTRIES; i++) {
      const dot = dots[i];
      if (dot === undefined) break;
      const entry = { ...dot, type: S_IFDIR, nextOffset: i + 1 };
      if (!reply.directoryEntry(entry, plus ? 'none' : undefined, validity, limit)) return;
    }
    let nextOffset = Math.max(offset, DOT_ENTRIES);
    for (const { ino, name, type, inode } of page) {
      nextOffset++;
      const attributes = inode === undefined ? undefined : this.#attributes.of(inode);
      const entry = { ino, name, type, nextOffset };
      const named = { parent: directory.ino, name };
      const valid = this.#attributes.validityOf(ino, inode === undefined ? {} : { record: inode, named });
      if (!reply.directoryEntry(entry, attributes, valid, limit)) return;
      if (inode !== undefined) this.#table.addLookup(ino);
      handle.names.push(name);
      if (inode !== undefined) this.#context.readAhead?.seen(directory.ino, name, inode);
    }
  }
}

type Page = { ino: Ino; name: Name; type: number; inode: InodeRecord | undefined }[];
