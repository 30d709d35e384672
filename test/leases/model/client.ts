import type { Ino } from '../../../src/core/index.js';
import { LeaseCache } from './lease-cache.js';
import type { Link, LinkEnd } from './link.js';
import {
  DIRECTORY,
  LEVELS,
  type Change,
  type ModelClaim,
  type ModelCommand,
  type ModelRequest,
  type ModelResult,
  type ModelSession,
  type ServerMessage,
} from './protocol.js';
import type { Oracle } from './oracle.js';
import type { Rules } from './rules.js';
import { SimulatedNode, type Simulation } from './simulation.js';
import { DEADLINE_MS, HEARTBEAT_MS, TTL_MS } from './times.js';

export interface ClientWorld {
  readonly simulation: Simulation;
  readonly rules: Rules;
  readonly oracle: Oracle;
  /** A stream to the leader; undefined when there is none, or it is out of reach. */
  dial(client: ModelClient, end: LinkEnd<ServerMessage>): Link | undefined;
  /** A session writes: nobody else may be able to read or write now. */
  checkAlone(writer: ModelClient, ino: Ino): void;
}

/** What the client asks of the files that it serves. */
export interface ClientFiles {
  claims(): ModelClaim[];
  /** Lets go of what the lease allows more than `to`; `done` once it has. */
  yieldTo(ino: Ino, to: 'known' | 'read', stillAsked: () => boolean, done: () => void): void;
  live(ino: Ino): Change | undefined;
  isUsed(ino: Ino): boolean;
  /** A record has come, newer than what a commit under way was based on. */
  seen(ino: Ino, version: number): void;
  sessionLost(): void;
}

type Done = (result: ModelResult, id: number) => void;

interface PendingRequest {
  request: ModelRequest;
  readonly done: Done;
}

/** Which inode loses its name is for the coordinator to say. */
export const ANY_INODE = Symbol('any inode');
/** A name, or an inode. */
type Touched = string | Ino | typeof ANY_INODE;

const RECONNECT_MIN_MS = 5;
const RECONNECT_MAX_MS = 150;
/** A stream on which no welcome comes is given up. */
const WELCOME_WITHIN_MS = 100;
const FORGETTING_MAX_MS = 40;

/** A mount's side of the session: streams, deadline, and the order in which messages change the lease cache. */
export class ModelClient {
  readonly node: SimulatedNode;
  readonly world: ClientWorld;
  readonly cache = new LeaseCache();
  files!: ClientFiles;
  session: ModelSession | undefined;
  #link: Link | undefined;
  #welcomed = false;
  #connection = 0;
  #deadlineMs = Number.NEGATIVE_INFINITY;
  #helloAtMs = 0;
  #heardAtMs = 0;
  readonly #touched = new Map<Touched, number>();
  readonly #beats = new Map<number, number>();
  #beat = 0;
  #lastId = 0;
  #lastNumber = 0;
  readonly #pending = new Map<number, PendingRequest>();
  /** The newest request when an inode was released: answers up to it are of before the release. */
  readonly #released = new Map<Ino, number>();

  /** The newest request when the write lease of an inode was given up. */
  readonly #lowered = new Map<Ino, number>();

  constructor(world: ClientWorld, driftPercent: number) {
    this.world = world;
    this.node = new SimulatedNode(world.simulation, driftPercent);
  }

  start(): void {
    this.#connect();
    this.#keepAlive();
  }

  /** Whether leases count at this moment. */
  valid(): boolean {
    if (this.session === undefined) return false;
    return this.#clock() < this.#deadlineMs || !this.world.rules.hold('deadlines are kept');
  }

  has(ino: Ino, mode: 'known' | 'read' | 'write'): boolean {
    return this.valid() && this.cache.usableLevel(ino) >= LEVELS[mode];
  }

  request(request: ModelRequest, done: Done): void {
    const id = ++this.#lastId;
    this.#pending.set(id, { request, done });
    if (this.#welcomed) this.#link?.sendToServer({ kind: 'request', id, request });
  }

  /** @returns the command's number */
  execute(command: ModelCommand, keepWrite: boolean, done: Done): number {
    const number = ++this.#lastNumber;
    const touched = this.world.rules.hold('authors forget first') ? touchedBy(command) : [];
    for (const key of touched) this.#touched.set(key, (this.#touched.get(key) ?? 0) + 1);
    this.request({ op: 'execute', number, keepWrite, command }, (result, id) => {
      for (const key of touched) this.#touched.set(key, (this.#touched.get(key) ?? 0) - 1);
      done(result, id);
    });
    return number;
  }

  /** Whether a command is under way that may change it: others may have been shown the change already. */
  isTouched(key: Touched): boolean {
    return (this.#touched.get(key) ?? 0) > 0;
  }

  /** Whether an answer says nothing about a lease, because the inode was released since it was asked for. */
  isCrossed(ino: Ino, id: number): boolean {
    return id <= (this.#released.get(ino) ?? 0) && this.world.rules.hold('releases void earlier answers');
  }

  /** Nothing of the inode is kept, nor in use. */
  release(ino: Ino): void {
    this.cache.release(ino);
    if (this.#pending.size > 0) this.#released.set(ino, this.#lastId);
    this.#link?.sendToServer({ kind: 'release', ino });
  }

  /** A commit gives up the write lease: an answer to a request from before it does not give it back. */
  lower(ino: Ino): void {
    this.cache.sink(ino, 'read');
    if (this.world.rules.hold('lowering voids earlier answers')) this.#lowered.set(ino, this.#lastId);
  }

  /** As the kernel forgets what nobody uses, sooner or later. */
  releaseUnused(): void {
    for (const ino of [...this.cache.leases.keys()]) if (!this.files.isUsed(ino)) this.release(ino);
  }

  /** The stream is given up, and another one opened. */
  #connect(): void {
    this.#link?.closeByClient();
    this.#link = undefined;
    this.#welcomed = false;
    if (this.world.rules.hold('reads lapse on reconnect')) this.#lapse();
    const end: LinkEnd<ServerMessage> = {
      node: this.node,
      message: (message) => this.#link === link && this.#message(message),
      closed: () => this.#link === link && this.#disconnected(),
    };
    const link = this.world.dial(this, end);
    this.#link = link;
    this.#beats.clear();
    this.#heardAtMs = this.node.monotonicMs();
    if (link === undefined) {
      this.#disconnected();
      return;
    }
    this.#helloAtMs = this.#clock();
    const claims = this.files.claims();
    for (const { ino } of claims) this.cache.raise(ino, 'known');
    const hello = { kind: 'hello', connection: ++this.#connection, claims } as const;
    link.sendToServer(this.session === undefined ? hello : { ...hello, session: this.session });
    this.node.after(WELCOME_WITHIN_MS, () => {
      if (this.#link === link && !this.#welcomed) this.#connect();
    });
  }

  #disconnected(): void {
    this.#link = undefined;
    this.#welcomed = false;
    this.node.after(this.world.simulation.delay(RECONNECT_MIN_MS, RECONNECT_MAX_MS), () => {
      if (this.#link === undefined) this.#connect();
    });
  }

  /** What is in use stays known, what is claimed as write stays so; all else is dropped, and all records. */
  #lapse(): void {
    const writes = new Set(
      this.files.claims().flatMap((claim) => (claim.mode === 'write' ? [claim.ino] : [])),
    );
    for (const [ino, lease] of [...this.cache.leases]) {
      delete lease.recalledTo;
      if (lease.mode === 'write' && writes.has(ino)) continue;
      this.cache.sink(ino, 'known');
      if (!this.files.isUsed(ino)) this.cache.release(ino);
    }
    this.cache.entries.clear();
    this.cache.records.clear();
  }

  #keepAlive(): void {
    if (this.#link !== undefined && this.node.monotonicMs() - this.#heardAtMs > TTL_MS) this.#connect();
    else if (this.#welcomed) {
      this.#beats.set(++this.#beat, this.#clock());
      this.#link?.sendToServer({ kind: 'heartbeat', beat: this.#beat });
    }
    this.node.after(HEARTBEAT_MS, () => this.#keepAlive());
  }

  #clock(): number {
    return this.world.rules.hold('deadlines are monotonic') ? this.node.monotonicMs() : this.node.wallMs();
  }

  #renew(sentAtMs: number): void {
    const { rules } = this.world;
    const fromMs = rules.hold('deadlines count from sending') ? sentAtMs : this.#clock();
    const lengthMs = rules.hold('expiry is later than deadlines') ? DEADLINE_MS : TTL_MS;
    this.#deadlineMs = Math.max(this.#deadlineMs, fromMs + lengthMs);
  }

  #message(message: ServerMessage): void {
    this.#heardAtMs = this.node.monotonicMs();
    if (message.kind !== 'heartbeat')
      this.world.simulation.note(() => `to ${this.session?.id ?? '?'}: ${JSON.stringify(message)}`);
    switch (message.kind) {
      case 'welcome':
        return this.#welcome(message.session, message.resumed);
      case 'heartbeat': {
        const sentAtMs = this.#beats.get(message.beat);
        if (sentAtMs !== undefined) this.#renew(sentAtMs);
        return;
      }
      case 'reply':
        return this.#reply(message.id, message.result);
      case 'notice':
        return this.#notice(message);
      case 'recall':
        return this.#recall(message);
      case 'query': {
        const live = this.files.live(message.ino);
        const ack = { kind: 'ack', id: message.id } as const;
        this.#link?.sendToServer(live === undefined ? ack : { ...ack, live });
      }
    }
  }

  #welcome(session: ModelSession, resumed: boolean): void {
    const lost = !resumed && this.session !== undefined;
    if (!resumed) {
      this.session = session;
      this.#deadlineMs = Number.NEGATIVE_INFINITY;
    }
    this.#renew(this.#helloAtMs);
    const commands: [number, PendingRequest][] = [];
    if (lost) {
      this.cache.clear();
      for (const [id, pending] of this.#pending)
        if (pending.request.op === 'execute') commands.push([id, pending]);
      for (const [id] of commands) this.#pending.delete(id);
      this.files.sessionLost();
    }
    this.#welcomed = true;
    for (const [id, pending] of this.#pending) {
      if (pending.request.op === 'execute' && !this.world.rules.hold('commands keep their numbers'))
        pending.request = { ...pending.request, number: ++this.#lastNumber };
      this.#link?.sendToServer({ kind: 'request', id, request: pending.request });
    }
    for (const [id, { done }] of commands) done({ op: 'lost' }, id);
  }

  #reply(id: number, result: ModelResult): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    const { request } = pending;
    if (result.op === 'lookup') this.#acceptLookup(result, id);
    else if (result.op === 'inode' || result.op === 'acquire') {
      this.files.seen(result.inode.record.ino, result.inode.record.version);
      this.cache.keepRecord(result.inode);
      const { ino } = result.inode.record;
      const lowered = id <= (this.#lowered.get(ino) ?? 0);
      if (request.op === 'acquire') this.cache.raise(ino, lowered ? 'read' : request.mode);
    } else if (result.op === 'execute' && request.op === 'execute')
      this.#acceptExecuted(result, id, request.command);
    pending.done(result, id);
  }

  #acceptLookup({ sent, inode }: ModelResult & { op: 'lookup' }, id: number): void {
    this.cache.keepName({ ...sent, leased: sent.leased && !this.isCrossed(DIRECTORY, id) });
    if (inode === undefined || this.isCrossed(inode.record.ino, id)) return;
    this.files.seen(inode.record.ino, inode.record.version);
    this.cache.keepRecord(inode);
  }

  #acceptExecuted(result: ModelResult & { op: 'execute' }, id: number, command: ModelCommand): void {
    for (const sent of result.names)
      this.cache.keepName({ ...sent, leased: sent.leased && !this.isCrossed(DIRECTORY, id) });
    if (result.names.length === 0 && 'name' in command) {
      this.cache.entries.delete(command.name);
      if ('newName' in command) this.cache.entries.delete(command.newName);
    }
    if (result.inode !== undefined) {
      // The coordinator has granted it anew, and is told again that nothing of it is kept.
      if (this.isCrossed(result.inode.record.ino, id)) this.release(result.inode.record.ino);
      else this.cache.keepRecord(result.inode);
      if (command.kind === 'create' && result.inode.leased) this.cache.raise(command.ino, 'write');
    } else if ('ino' in command) {
      this.cache.records.delete(command.ino);
      this.cache.raise(command.ino, 'known');
    }
  }

  #notice({ id, notices }: ServerMessage & { kind: 'notice' }): void {
    const link = this.#link;
    const { rules, simulation } = this.world;
    const forget = (): void => {
      for (const notice of notices) {
        if (notice.kind === 'entry') this.cache.entries.delete(notice.name);
        else this.cache.records.delete(notice.ino);
      }
    };
    const acknowledge = (): void => {
      if (link !== this.#link) return;
      link?.sendToServer({ kind: 'ack', id });
      for (const notice of notices) {
        if (notice.kind === 'inode' && notice.orphaned && !this.files.isUsed(notice.ino))
          this.release(notice.ino);
      }
    };
    const early = rules.hold('forgetting comes before acknowledging');
    (early ? forget : acknowledge)();
    this.node.after(simulation.delay(0, FORGETTING_MAX_MS), early ? acknowledge : forget);
  }

  #recall({ id, ino, to }: ServerMessage & { kind: 'recall' }): void {
    const link = this.#link;
    const lease = this.cache.leases.get(ino);
    if (lease !== undefined && LEVELS[lease.mode] > LEVELS[to]) lease.recalledTo = to;
    const letGo = (): void => {
      if (link !== this.#link) return;
      this.cache.sink(ino, to);
      const held = this.cache.leases.get(ino);
      if (held !== undefined) delete held.recalledTo;
      link?.sendToServer({ kind: 'ack', id });
    };
    if (lease?.mode === 'read' && !this.world.rules.hold('readers stop before letting go')) {
      delete lease.recalledTo;
      link?.sendToServer({ kind: 'ack', id });
      this.node.after(this.world.simulation.delay(0, FORGETTING_MAX_MS), () => this.cache.sink(ino, to));
      return;
    }
    this.files.yieldTo(ino, to, () => link === this.#link, letGo);
  }
}

function touchedBy(command: ModelCommand): Touched[] {
  switch (command.kind) {
    case 'create':
      return [command.name];
    case 'unlink':
      return [command.name, ANY_INODE];
    case 'rename':
      return [command.name, command.newName, ANY_INODE];
    case 'commit':
      return []; // its content is shown here already
    default:
      return [command.ino];
  }
}
