import { type Clock, GfsError, type Ino, type Logger, type Name } from '../core/index.js';
import type { LockFamily, LockRange, LockRequest } from '../leases/index.js';
import type { Command, CommandResult, InodeRecord, NamedDentry } from '../namespace/index.js';
import type { SiteSpec } from '../sites/index.js';
import { LeaseCache, LeaseLevel } from './client-cache.js';
import { ClientCommands } from './client-commands.js';
import type { Incoming } from './client-conversation.js';
import { InoRanges } from './client-inos.js';
import { ClientLocks } from './client-locks.js';
import { ClientReads } from './client-reads.js';
import { ClientRecalls } from './client-recalls.js';
import { ClientRequests } from './client-requests.js';
import {
  ClientSession,
  type ClientSessionOptions,
  type SessionOwner,
  type SessionReport,
} from './client-session.js';
import type { Awaitable, LeaseHost, NamespaceClient, NamespaceStatistics } from './client.js';
import { IDLE_HOST } from './idle-host.js';
import type { ClientStream, Hello, SessionRef, Welcome } from './wire/index.js';

/** How old a count of inodes may be: `df` and monitoring ask again and again. */
const STATISTICS_MS = 1000;

export interface RemoteClientOptions extends ClientSessionOptions {
  /** Bounds of what is kept: see LeaseCache. */
  readonly cacheInodesMax?: number;
  readonly cacheNamesMax?: number;
  /** Called with the session of every welcome. */
  readonly joined?: (session: SessionRef) => void;
  /** The sites have changed. Also called with those of every welcome. */
  readonly sitesChanged?: (sites: readonly SiteSpec[]) => void;
}

/** For `globalfs status`. */
export interface RemoteClientReport extends SessionReport {
  readonly cached: { readonly inodes: number; readonly names: number; readonly xattrBytes: number };
  readonly locks: number;
  readonly unanswered: number;
  readonly recalls: number;
  /** Requests sent since the start, by kind, and messages received. */
  readonly sent: Readonly<Record<string, number>>;
  readonly received: Readonly<Record<string, number>>;
}

/**
 * A mount's view of a namespace that a coordinator elsewhere owns. What the coordinator has leased is
 * answered at once; what it has not is asked for. Coherent with every other mount, and through the loss of
 * connections, leaders and sessions.
 */
export class RemoteClient implements NamespaceClient {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #options: RemoteClientOptions;
  readonly #session: ClientSession;
  readonly #requests = new ClientRequests();
  readonly #cache: LeaseCache;
  readonly #reads: ClientReads;
  readonly #commands: ClientCommands;
  readonly #recalls: ClientRecalls;
  readonly #locks = new ClientLocks(this.#requests);
  readonly #inos = new InoRanges(this.#requests);
  readonly #received: Record<string, number> = {};
  #stream: ClientStream | undefined;
  #host: LeaseHost = IDLE_HOST;
  /** Nothing is kept under read leases: done once per interruption, however many addresses are tried. */
  #dropped = true;
  #hadSession = false;
  #statistics: { readonly untilMs: number; readonly value: Awaitable<NamespaceStatistics> } | undefined;

  constructor(options: RemoteClientOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#logger = options.logger;
    const live = (): boolean => this.#session.live;
    this.#cache = new LeaseCache({
      ...(options.cacheInodesMax === undefined ? {} : { inodesMax: options.cacheInodesMax }),
      ...(options.cacheNamesMax === undefined ? {} : { namesMax: options.cacheNamesMax }),
      inUse: (ino) => this.#host.inUse(ino),
      evicted: (inos) => this.#tellReleased(inos),
    });
    this.#reads = new ClientReads(this.#cache, this.#requests, live);
    this.#recalls = new ClientRecalls({
      cache: this.#cache,
      host: () => this.#host,
      logger: options.logger,
      justGranted: (ino) => this.#commands.justGranted(ino),
      committing: (ino) => this.#commands.committing.has(ino),
      nextRequest: () => this.#requests.nextId,
      release: (inos) => this.#release(inos),
    });
    this.#commands = new ClientCommands({
      cache: this.#cache,
      requests: this.#requests,
      recalls: this.#recalls,
      logger: options.logger,
      live,
      inode: (ino) => this.#reads.inode(ino),
      release: (inos) => this.#release(inos),
    });
    this.#session = new ClientSession(options, this.#owner());
  }

  /**
   * Connects: see ClientSession.start. `serve` must have been called.
   * @throws GfsError CONFIG, UNAVAILABLE, CANCELLED
   */
  start(signal?: AbortSignal): Promise<Welcome> {
    return this.#session.start(signal);
  }

  /**
   * Ends the session in order: when it resolves, the coordinator has taken back all leases and locks, unless it
   * did not answer for some seconds. What is still asked for fails.
   */
  async stop(): Promise<void> {
    this.#requests.refuse(new GfsError('UNAVAILABLE', 'the mount has left the coordinator'));
    await this.#session.stop();
  }

  serve(host: LeaseHost): void {
    this.#host = host;
  }

  report(): RemoteClientReport {
    return {
      ...this.#session.report(),
      cached: this.#cache.size,
      locks: this.#locks.held,
      unanswered: this.#requests.pending,
      recalls: this.#recalls.active,
      sent: { ...this.#requests.sentByOp },
      received: { ...this.#received },
    };
  }

  execute(command: Command, options?: { readonly keepWrite: boolean }): Awaitable<CommandResult> {
    return this.#commands.execute(command, options?.keepWrite ?? false);
  }

  inode(ino: Ino): Awaitable<InodeRecord | undefined> {
    return this.#reads.inode(ino);
  }

  lookup(parent: Ino, name: Name): Awaitable<InodeRecord | undefined> {
    return this.#reads.lookup(parent, name);
  }

  readDirectory(ino: Ino, after: Name | '', limit: number): Awaitable<NamedDentry[]> {
    return this.#reads.readDirectory(ino, after, limit);
  }

  xattr(ino: Ino, name: string): Awaitable<Uint8Array | undefined> {
    return this.#reads.xattr(ino, name);
  }

  xattrNames(ino: Ino): Awaitable<readonly string[]> {
    return this.#reads.xattrNames(ino);
  }

  acquire(ino: Ino, mode: 'read' | 'write'): Awaitable<InodeRecord> {
    return this.#commands.acquire(ino, mode);
  }

  holds(ino: Ino, mode: 'read' | 'write'): boolean {
    if (!this.#session.live) return false;
    return mode === 'write' ? this.#cache.mayWrite(ino) : this.#cache.level(ino) >= LeaseLevel.read;
  }

  /** @param shown what the kernel is about to be told; a record that another has replaced since may not be kept */
  attributesLeased(ino: Ino, shown?: InodeRecord): boolean {
    const record = this.#reads.known(ino);
    return record !== undefined && (shown === undefined || shown === record);
  }

  /** @param shown what the kernel is about to be told that the name means */
  entryLeased(parent: Ino, name: Name, shown?: Ino | 'absent'): boolean {
    const meaning = this.#session.live ? this.#cache.meaning(parent, name) : undefined;
    if (meaning === undefined) return false;
    return shown === undefined || shown === (meaning === 'absent' ? 'absent' : meaning.ino);
  }

  /** Leases on what has a name are kept until others need them; what has none is let go of. */
  unused(ino: Ino): void {
    const level = this.#cache.level(ino);
    const committing = level === LeaseLevel.write && !this.#cache.mayWrite(ino);
    if (level === LeaseLevel.none || committing) return;
    const record = this.#cache.record(ino);
    if (level >= LeaseLevel.read && record !== undefined && record.nlink > 0) return;
    this.#release([ino]);
  }

  nextIno(): Awaitable<Ino> {
    return this.#inos.next();
  }

  pathOf(ino: Ino): Promise<string | undefined> {
    return this.#requests.ask<'path-of', string | undefined>({ op: 'path-of', ino }, ({ path }) => path);
  }

  /** None: the coordinator deletes what nobody knows any more. */
  orphans(): readonly Ino[] {
    return [];
  }

  statistics(): Awaitable<NamespaceStatistics> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#statistics !== undefined && nowMs < this.#statistics.untilMs) return this.#statistics.value;
    const value = this.#requests.ask<'statistics', NamespaceStatistics>(
      { op: 'statistics' },
      ({ inodes }) => ({ inodes }),
    );
    this.#statistics = { untilMs: nowMs + STATISTICS_MS, value };
    value.catch(() => (this.#statistics = undefined)); // told to whoever asked
    return value;
  }

  lockConflict(ino: Ino, family: LockFamily, request: LockRequest): Promise<LockRange | undefined> {
    return this.#locks.conflict(ino, family, request);
  }

  tryLock(ino: Ino, family: LockFamily, request: LockRequest): Awaitable<boolean> {
    return this.#locks.tryLock(ino, family, request);
  }

  waitLock(ino: Ino, family: LockFamily, request: LockRequest, signal: AbortSignal): Promise<void> {
    return this.#locks.wait(ino, family, request, signal);
  }

  /** An answered command is stored: only those that are not answered are waited for. */
  stored(): Promise<void> {
    return this.#requests.commandsAnswered();
  }

  async flush(): Promise<void> {
    if (this.#requests.commandsPending === 0) return;
    const answered = this.#requests.commandsAnswered();
    await Promise.all([answered, this.#requests.ask<'flush', void>({ op: 'flush' }, () => undefined)]);
  }

  #owner(): SessionOwner {
    return {
      claim: () => this.#claim(),
      welcomed: (welcome, stream) => this.#welcomed(welcome, stream),
      message: (message) => this.#message(message),
      disconnected: () => {
        this.#stream = undefined;
        this.#requests.disconnected();
      },
      lapsed: () => this.#dropReads(),
      unreachable: (error) => this.#requests.refuse(error),
    };
  }

  /** A connection has ended, or the leases have lapsed: only what the next hello claims goes on. */
  #dropReads(): void {
    if (!this.#dropped) this.#host.forgetAll();
    this.#dropped = true;
    const uncommitted = new Set(this.#host.uncommitted());
    const goesOn = (ino: Ino): boolean => uncommitted.has(ino) || this.#host.inUse(ino);
    this.#cache.keepClaims(goesOn, this.#commands.committing);
  }

  #claim(): Pick<Hello, 'claims' | 'locks' | 'answeredBelow'> {
    this.#dropReads();
    const { answeredBelow } = this.#requests;
    return {
      claims: [...this.#cache.claims(this.#commands.committing), ...this.#commands.claims()],
      locks: this.#locks.claims(),
      answeredBelow,
    };
  }

  #welcomed(welcome: Welcome, stream: ClientStream): void {
    this.#stream = stream;
    this.#dropped = false;
    if (!welcome.resumed && this.#hadSession) this.#sessionLost(welcome);
    this.#hadSession = true;
    this.#requests.connected(stream, welcome.resumed);
    this.#inos.refill();
    this.#options.joined?.(welcome.session);
    this.#options.sitesChanged?.(welcome.sites);
  }

  #sessionLost({ session }: Welcome): void {
    const claims = [...this.#cache.claims(this.#commands.committing)];
    const inUse = claims.map(({ ino }) => ino).filter((ino) => this.#host.inUse(ino));
    this.#cache.clear();
    this.#commands.lost();
    const locks = this.#locks.lost();
    this.#logger.error('the session was lost, and all leases and locks with it', {
      session: session.id,
      ...{ locks, inUse: inUse.length, unanswered: this.#requests.pending },
    });
    this.#host.sessionLost();
    this.#commands.know(inUse);
  }

  #message(message: Incoming): void {
    this.#received[message.kind] = (this.#received[message.kind] ?? 0) + 1;
    const stream = this.#stream;
    if (stream === undefined) return;
    switch (message.kind) {
      case 'reply':
      case 'error':
        this.#requests.answered(message);
        this.#cache.caps.answered(this.#requests.oldest);
        return;
      case 'notice':
        this.#recalls.notice(message, stream);
        return;
      case 'recall':
        this.#recalls.recall(message, stream);
        return;
      case 'query':
        this.#recalls.query(message, stream);
        return;
      case 'sites':
        this.#options.sitesChanged?.(message.sites);
        return;
    }
  }

  #release(inos: readonly Ino[]): void {
    for (const ino of inos) this.#cache.remove(ino);
    this.#tellReleased(inos);
  }

  /** Without a connection nothing needs to be told: the next hello claims only what is held. */
  #tellReleased(inos: readonly Ino[]): void {
    for (const ino of inos) this.#cache.caps.lower(ino, LeaseLevel.none, this.#requests.nextId);
    this.#stream?.send({ kind: 'release', inos });
  }
}
