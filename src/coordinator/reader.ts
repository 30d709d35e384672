import { GfsError, type Ino, type Name } from '../core/index.js';
import { type InodeRecord, type NamedDentry, type Namespace, copyOf, isRegular } from '../namespace/index.js';
import type { InFlightCommand } from './in-flight-command.js';
import type { LeaseDesk } from './lease-desk.js';
import type { OpenRequest } from './open-request.js';
import type { Session } from './session.js';
import type { StoreWaits } from './store-waits.js';
import type { UnsettledChanges } from './unsettled-changes.js';
import type { Request, Result, SentEntry, SentInode } from './wire/index.js';

/** Entries in a page at most: with inodes some 1 MB on the wire, a quarter of what gRPC takes. */
const PAGE_ENTRIES_MAX = 4096;

/**
 * A directory that somebody changes all the time has always a change that may not be shown yet. After so many
 * waits the answer of that moment is kept until it may be shown, and sent without any lease.
 */
const DELAYS_MAX = 3;

export type ReadRequest = Extract<Request, { op: 'lookup' | 'inode' | 'read-directory' | 'xattrs' }>;

/** What an answer shows of the namespace. */
export interface Shown {
  readonly inos: readonly Ino[];
  readonly entries: readonly (readonly [parent: Ino, name: Name])[];
}

interface Touched extends Shown {
  /** Regular files whose size and times the answer shows. */
  readonly files: readonly Ino[];
  /** Of a directory that is read. */
  readonly page?: readonly NamedDentry[];
}

export interface ReaderOptions {
  readonly namespace: Namespace;
  readonly desk: LeaseDesk;
  readonly waits: StoreWaits;
  readonly unsettled: UnsettledChanges;
  readonly session: (id: string) => Session | undefined;
  /** Evaluates a request anew. */
  readonly resume: (request: OpenRequest) => void;
}

/**
 * Answers what mounts read, from memory, with a lease on what is sent. Nothing is shown that a crash of this
 * process would undo, nor what others may not be told yet (UnsettledChanges). What waited is evaluated anew
 * at the moment of sending, so that no answer is older than a notice that went before it.
 */
export class Reader {
  readonly #options: ReaderOptions;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  /** @throws GfsError ESTALE for what is no more; CORRUPT */
  evaluate(request: OpenRequest<ReadRequest>): void {
    if (this.thaws(request)) return;
    const touched = this.#touched(request.request);
    if (this.#asksWriters(request, touched.files)) return;
    if (this.#waitsFor(request, touched, () => this.#answer(request, touched, false))) return;
    request.reply(this.#answer(request, touched, true));
  }

  /** Whether the inodes may be shown now; if not, the request is taken up when that has changed. */
  waits(request: OpenRequest, inos: readonly Ino[]): boolean {
    return this.#waitsFor(request, { inos, entries: [] });
  }

  /** The same for an error that shows this. After some waits it is kept until it may be told. */
  waitsToFail(request: OpenRequest, shown: Shown, error: GfsError): boolean {
    return this.#waitsFor(request, shown, () => error);
  }

  /** Whether the request's answer is there, and only kept until it may be shown: it is sent if that is so now. */
  thaws(request: OpenRequest): boolean {
    const { frozen } = request;
    if (frozen === undefined) return false;
    const { answer, until } = frozen;
    const hiding = until.find((command) => command.hiddenFrom(request.session));
    if (hiding !== undefined) hiding.addReader(request);
    else if (answer instanceof GfsError) request.fail(answer);
    else request.reply(answer);
    return true;
  }

  /** A record as the session may have it now: under a read lease, if that can be. */
  sent(request: OpenRequest, record: InodeRecord, mayLease = true): SentInode {
    const { machine } = this.#options.desk;
    const { id } = request.session;
    const { ino } = record;
    const writer = isRegular(record) ? machine.writerOf(ino) : undefined;
    if (writer !== undefined && writer !== id) {
      machine.noteKnown(id, ino);
      const live = request.live?.get(ino)?.live;
      const now = live === undefined ? record : { ...copyOf(record), ...live };
      return { record: now, leased: false, volatile: true };
    }
    const leased = mayLease && machine.grant(id, ino, 'read');
    if (!leased) machine.noteKnown(id, ino);
    return { record, leased, volatile: false };
  }

  #touched(ask: ReadRequest): Touched {
    const { namespace } = this.#options;
    switch (ask.op) {
      case 'lookup': {
        const { parent, name } = ask;
        this.#inodeOf(parent);
        const child = namespace.lookup(parent, name);
        const inos = child === undefined ? [] : [child.ino];
        return {
          entries: [[parent, name]],
          inos,
          files: child !== undefined && isRegular(child) ? inos : [],
        };
      }
      case 'inode': {
        const record = namespace.inode(ask.ino);
        return {
          inos: [ask.ino],
          entries: [],
          files: record !== undefined && isRegular(record) ? [ask.ino] : [],
        };
      }
      case 'xattrs':
        return { inos: [this.#inodeOf(ask.ino).ino], entries: [], files: [] };
      case 'read-directory': {
        const directory = this.#inodeOf(ask.ino);
        const page = namespace.readDirectory(ask.ino, ask.after as Name | '', pageLimit(ask.limit));
        if (!ask.plus) return { inos: [directory.ino], entries: [], files: [], page };
        const children = page.flatMap(({ ino }) => namespace.inode(ino) ?? []);
        const files = children.filter(isRegular).map(({ ino }) => ino);
        const inos = [directory.ino, ...children.map(({ ino }) => ino)];
        return { inos, entries: [], files, page };
      }
    }
  }

  /** Files that others write: their writers are asked, once each, after the request has come. */
  #asksWriters(request: OpenRequest, files: readonly Ino[]): boolean {
    const { desk, session: sessionOf } = this.#options;
    const { session } = request;
    for (const ino of files) {
      const writerId = desk.machine.writerOf(ino);
      if (writerId === undefined || writerId === session.id) continue;
      if (request.live?.get(ino)?.writer === writerId) continue;
      const writer = sessionOf(writerId);
      if (writer !== undefined) desk.ask(writer, ino, request);
    }
    if (request.asked === 0) return false;
    request.park();
    return true;
  }

  /** @param last the answer that is kept in the end; undefined: waits as often as it takes */
  #waitsFor(request: OpenRequest, shown: Shown, last?: () => Result | GfsError): boolean {
    const { namespace, unsettled } = this.#options;
    const { session } = request;
    let pending: Promise<void> | undefined;
    let hiding: readonly InFlightCommand[] = [];
    for (const ino of shown.inos) {
      pending ??= namespace.pendingCommit(ino);
      if (hiding.length === 0) hiding = unsettled.ofInode(ino, session);
    }
    for (const [parent, name] of shown.entries) {
      pending ??= namespace.pendingEntryCommit(parent, name);
      if (hiding.length === 0) hiding = unsettled.ofEntry(parent, name, session);
    }
    if (pending === undefined && hiding.length === 0) return false;
    request.delays++;
    request.park();
    if (request.delays >= DELAYS_MAX && last !== undefined) {
      this.#freeze(request, shown, last());
    } else if (pending !== undefined) {
      this.#waitForStore(request, pending);
    } else {
      hiding[0]?.addReader(request);
    }
    return true;
  }

  #waitForStore(request: OpenRequest, committed: Promise<void>): void {
    this.#options.waits.add(committed, (undone) => {
      if (undone !== undefined) request.frozen = undefined;
      this.#options.resume(request);
    });
  }

  #freeze(request: OpenRequest, { inos, entries }: Shown, answer: Result | GfsError): void {
    const { namespace, unsettled } = this.#options;
    const { session } = request;
    const until = inos.flatMap((ino) => unsettled.ofInode(ino, session));
    for (const [parent, name] of entries) until.push(...unsettled.ofEntry(parent, name, session));
    request.frozen = { answer, until };
    // Groups are stored in order: with the last one, all that the answer shows is stored.
    this.#waitForStore(request, namespace.stored());
  }

  #answer(request: OpenRequest<ReadRequest>, { page = [] }: Touched, mayLease: boolean): Result {
    const { namespace } = this.#options;
    const ask = request.request;
    const leaseOn = (ino: Ino): boolean => mayLease && this.#lease(request.session, ino);
    switch (ask.op) {
      case 'lookup': {
        const child = namespace.lookup(ask.parent, ask.name);
        const entryLeased = leaseOn(ask.parent);
        if (child === undefined) return { op: 'lookup', entryLeased };
        return { op: 'lookup', inode: this.sent(request, child, mayLease), entryLeased };
      }
      case 'inode': {
        const record = namespace.inode(ask.ino);
        return record === undefined
          ? { op: 'inode' }
          : { op: 'inode', inode: this.sent(request, record, mayLease) };
      }
      case 'xattrs': {
        const names = namespace.xattrNames(ask.ino);
        const xattrs = names.map((name) => ({ name, value: namespace.xattr(ask.ino, name) ?? NO_BYTES }));
        return { op: 'xattrs', xattrs, leased: leaseOn(ask.ino) };
      }
      case 'read-directory': {
        const entries = page.map((entry) => this.#entry(request, entry, ask.plus, mayLease));
        return {
          op: 'read-directory',
          entries,
          complete: page.length < pageLimit(ask.limit),
          leased: leaseOn(ask.ino),
        };
      }
    }
  }

  #entry(
    request: OpenRequest,
    { name, ino, type }: NamedDentry,
    plus: boolean,
    mayLease: boolean,
  ): SentEntry {
    const dentry = { ino, type };
    const record = plus ? this.#options.namespace.inode(ino) : undefined;
    return record === undefined
      ? { name, dentry }
      : { name, dentry, inode: this.sent(request, record, mayLease) };
  }

  #lease({ id }: Session, ino: Ino): boolean {
    const { machine } = this.#options.desk;
    const leased = machine.grant(id, ino, 'read');
    if (!leased) machine.noteKnown(id, ino);
    return leased;
  }

  #inodeOf(ino: Ino): InodeRecord {
    const record = this.#options.namespace.inode(ino);
    if (record === undefined) throw new GfsError('ESTALE', 'the inode is no more', { context: { ino } });
    return record;
  }
}

const NO_BYTES = new Uint8Array(0);

const pageLimit = (limit: number): number => Math.max(1, Math.min(limit, PAGE_ENTRIES_MAX));
