import type { Ino, Name } from '../core/index.js';
import { InodeFlag, type InodeRecord, type NamedDentry, S_IFMT } from '../namespace/index.js';
import type { Awaitable } from './client.js';
import { type LeaseCache, LeaseLevel } from './client-cache.js';
import type { ListingGap } from './client-directory.js';
import { ASK_AGAIN, type ClientRequests, type ResultOf } from './client-requests.js';
import type { Xattrs } from './client-xattrs.js';

/** Entries of a directory asked for at a time, with their records: some 300 KB, or 2 ms of the coordinator's. */
const PAGE_ENTRIES = 1000;

/** How often a listing is completed in vain, because others change it meanwhile, before it is read without being kept. */
const WASTED_ROUNDS_MAX = 8;

const NO_XATTRS: Xattrs = new Map();

type Page = Pick<ResultOf<'read-directory'>, 'entries' | 'complete'>;

/**
 * Reads: from what is kept under leases at once and without a message, else by asking. What is asked for once
 * is kept until somebody changes it.
 */
export class ClientReads {
  readonly #cache: LeaseCache;
  readonly #requests: ClientRequests;
  /** Leases may be relied on at this moment. */
  readonly #live: () => boolean;
  /** Pages that are being read ahead of need: what they follow, and when they are there. One per directory. */
  readonly #ahead = new Map<Ino, { readonly after: Name | ''; readonly done: Promise<void> }>();

  constructor(cache: LeaseCache, requests: ClientRequests, live: () => boolean) {
    this.#cache = cache;
    this.#requests = requests;
    this.#live = live;
  }

  /** The record, when it is exact and may be shown. */
  known(ino: Ino): InodeRecord | undefined {
    return this.#live() ? this.#cache.record(ino) : undefined;
  }

  inode(ino: Ino): Awaitable<InodeRecord | undefined> {
    return this.known(ino) ?? this.#askInode(ino);
  }

  lookup(parent: Ino, name: Name): Awaitable<InodeRecord | undefined> {
    if (this.#live()) {
      const meaning = this.#cache.meaning(parent, name);
      if (meaning === 'absent') return undefined;
      const record = meaning === undefined ? undefined : this.#cache.record(meaning.ino);
      if (record !== undefined) return record;
    }
    return this.#askLookup(parent, name);
  }

  readDirectory(ino: Ino, after: Name | '', limit: number): Awaitable<NamedDentry[]> {
    const listed = this.#listed(ino, after, limit);
    if (!Array.isArray(listed)) return this.#readListing(ino, after, limit);
    this.#readAhead(ino, listed, limit);
    return listed;
  }

  xattr(ino: Ino, name: string): Awaitable<Uint8Array | undefined> {
    const xattrs = this.#xattrs(ino);
    return xattrs instanceof Promise ? xattrs.then((all) => all.get(name)) : xattrs.get(name);
  }

  xattrNames(ino: Ino): Awaitable<readonly string[]> {
    const xattrs = this.#xattrs(ino);
    return xattrs instanceof Promise ? xattrs.then((all) => [...all.keys()]) : [...xattrs.keys()];
  }

  #askInode(ino: Ino): Promise<InodeRecord | undefined> {
    return this.#requests.ask<'inode', InodeRecord | undefined>({ op: 'inode', ino }, ({ inode }, id) => {
      if (inode === undefined) {
        this.#cache.remove(ino);
        return undefined;
      }
      return this.#cache.take(inode, id) === 'void' ? ASK_AGAIN : inode.record;
    });
  }

  #askLookup(parent: Ino, name: Name): Promise<InodeRecord | undefined> {
    return this.#requests.ask<'lookup', InodeRecord | undefined>(
      { op: 'lookup', parent, name },
      ({ inode, entryLeased }, id) => {
        if (inode !== undefined && this.#cache.take(inode, id) === 'void') return ASK_AGAIN;
        if (!entryLeased) this.#cache.forgetEntry(parent, name);
        else if (inode === undefined) this.#cache.learnEntry(parent, name, 'absent', id);
        else {
          const { ino, mode } = inode.record;
          this.#cache.learnEntry(parent, name, { name, ino, type: mode & S_IFMT }, id);
        }
        return inode?.record;
      },
    );
  }

  #listed(ino: Ino, after: Name | '', limit: number): NamedDentry[] | ListingGap {
    const directory = this.#live() ? this.#cache.directory(ino) : undefined;
    return directory?.list(after, limit) ?? { kind: 'page', after };
  }

  async #readListing(ino: Ino, after: Name | '', limit: number): Promise<NamedDentry[]> {
    let reached: string | undefined;
    for (let wasted = 0; wasted < WASTED_ROUNDS_MAX;) {
      const listed = this.#listed(ino, after, limit);
      if (Array.isArray(listed)) return listed;
      if (listed.kind === 'names') {
        wasted++;
        await Promise.all(listed.names.map((name) => this.#askLookup(ino, name)));
        continue;
      }
      if (reached !== undefined && listed.after <= reached) wasted++;
      reached = listed.after;
      const ahead = this.#ahead.get(ino);
      if (ahead?.after === listed.after) {
        await ahead.done;
        continue;
      }
      const page = await this.#askPage(ino, listed.after);
      // It is the answer by itself, also where it may not be kept.
      if (listed.after === after && (page.complete || page.entries.length >= limit))
        return dentriesOf(page, limit);
    }
    return this.#readUnkept(ino, after, limit);
  }

  /** Others change the directory faster than it can be read: what each page says, as of its own moment. */
  async #readUnkept(ino: Ino, after: Name | '', limit: number): Promise<NamedDentry[]> {
    const entries: NamedDentry[] = [];
    for (;;) {
      const page = await this.#askPage(ino, entries.at(-1)?.name ?? after);
      entries.push(...dentriesOf(page, limit - entries.length));
      if (page.complete || entries.length >= limit) return entries;
    }
  }

  /** Asks for the next page before it is needed, while its reader is busy with this one. */
  #readAhead(ino: Ino, listed: readonly NamedDentry[], limit: number): void {
    const last = listed.at(-1);
    if (last === undefined || this.#ahead.has(ino)) return;
    const after = this.#cache.directory(ino)?.readAhead(last.name, limit);
    if (after === undefined) return;
    const done = this.#askPage(ino, after).then(
      () => undefined,
      () => undefined, // whoever needs it asks again, and is told
    );
    this.#ahead.set(ino, { after, done });
    void done.then(() => this.#ahead.delete(ino));
  }

  #askPage(ino: Ino, after: Name | ''): Promise<Page> {
    return this.#requests.ask<'read-directory', Page>(
      { op: 'read-directory', ino, after, limit: PAGE_ENTRIES, plus: true },
      (page, id) => {
        const { entries, complete, leased } = page;
        if (this.#cache.caps.of(ino, id) === LeaseLevel.none) return ASK_AGAIN;
        for (const { inode } of entries) if (inode !== undefined) this.#cache.take(inode, id);
        if (leased) this.#cache.learnPage(ino, after, dentriesOf(page, Infinity), complete, id);
        return page;
      },
    );
  }

  #xattrs(ino: Ino): Awaitable<Xattrs> {
    if (this.#live()) {
      const record = this.#cache.record(ino);
      if (record !== undefined && (record.flags & InodeFlag.hasXattr) === 0) return NO_XATTRS;
      const known = this.#cache.xattrs(ino);
      if (known !== undefined) return known;
    }
    return this.#requests.ask<'xattrs', Xattrs>({ op: 'xattrs', ino }, ({ xattrs, leased }, id) => {
      if (this.#cache.caps.of(ino, id) === LeaseLevel.none) return ASK_AGAIN;
      const all = new Map(xattrs.map(({ name, value }) => [name, value]));
      if (leased) this.#cache.learnXattrs(ino, all, id);
      return all;
    });
  }
}

const dentriesOf = ({ entries }: Page, limit: number): NamedDentry[] =>
  entries.slice(0, limit).map(({ name, dentry: { ino, type } }) => ({ name, ino, type }));
