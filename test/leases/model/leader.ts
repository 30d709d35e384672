import type { LeaseEffect } from '../../../src/leases/index.js';
import type { Link, LinkEnd } from './link.js';
import { MutantMachine } from './mutant-machine.js';
import type { Oracle } from './oracle.js';
import type { ClientMessage, ModelClaim, ModelSession, ServerMessage } from './protocol.js';
import type { Rules } from './rules.js';
import { Service, type Token } from './service.js';
import { SimulatedNode, type Simulation, Violation } from './simulation.js';
import { type State, type Store, StoreWriter } from './store.js';
import { EXPIRY_MS, TTL_MS } from './times.js';

export interface LeaderWorld {
  readonly simulation: Simulation;
  readonly rules: Rules;
  readonly oracle: Oracle;
  readonly store: Store;
  /** Whether a live session uses an inode: it must not be deleted then. */
  isUsed(ino: number): boolean;
  newSessionId(): string;
}

/** A session as one leader knows it. */
export interface LeaderSession {
  readonly ref: ModelSession;
  link?: Link;
  connection: number;
  expiresAtMs: number;
  /** It has said hello to this leader. */
  back: boolean;
  ended: boolean;
}

/** The coordinator of one term: sessions, streams, and what the machine's effects mean on the wire. */
export class ModelLeader {
  readonly node: SimulatedNode;
  readonly world: LeaderWorld;
  readonly machine: MutantMachine<Token>;
  readonly memory: State;
  readonly writer: StoreWriter;
  readonly service: Service;
  readonly sessions = new Map<string, LeaderSession>();
  #serving = false;
  readonly #effects: LeaseEffect<Token>[] = [];
  #performing = false;
  #deferred: (() => void)[] = [];
  #leadsUntilMs = Number.POSITIVE_INFINITY;
  readonly #links = new Map<Link, LeaderSession | undefined>();

  constructor(world: LeaderWorld, driftPercent: number) {
    this.world = world;
    this.node = new SimulatedNode(world.simulation, driftPercent);
    this.machine = new MutantMachine(world.rules);
    this.writer = new StoreWriter(world.simulation, world.store);
    this.memory = world.store.state.copy();
    this.service = new Service(this);
    for (const ref of this.memory.sessions.values()) {
      this.machine.openSession(ref.id);
      const session = { ref, connection: 0, expiresAtMs: this.#expiry(), back: false, ended: false };
      this.sessions.set(ref.id, session);
      this.#watch(session);
    }
    if (!world.rules.hold('grace after failover')) this.#serving = true;
    this.#serveIfComplete();
  }

  get serving(): boolean {
    return this.#serving;
  }

  accept(link: Link): LinkEnd<ClientMessage> {
    this.#links.set(link, undefined);
    return {
      node: this.node,
      message: (message) => this.#message(link, message),
      closed: () => this.#closed(link),
    };
  }

  /** The election is not renewed any more: by its own clock, this leader stops at `ms` from now. */
  loseElection(ms: number): void {
    this.#leadsUntilMs = this.node.monotonicMs() + ms;
    this.writer.cut();
    if (this.world.rules.hold('leaders step down')) this.node.after(ms, () => this.leads());
  }

  crash(): void {
    this.writer.cut();
    this.node.die();
    for (const link of this.#links.keys()) link.cut();
  }

  send(session: LeaderSession, message: ServerMessage): void {
    session.link?.sendToClient(message);
  }

  /** What one effect leads to is done after the effects that were decided before it. */
  perform(effects: readonly LeaseEffect<Token>[]): void {
    if (!this.world.rules.hold('effects are done in order')) {
      for (const effect of effects) this.#performOne(effect);
      return;
    }
    this.#effects.push(...effects);
    if (this.#performing) return;
    this.#performing = true;
    for (let effect = this.#effects.shift(); effect !== undefined; effect = this.#effects.shift())
      this.#performOne(effect);
    this.#performing = false;
  }

  #performOne(effect: LeaseEffect<Token>): void {
    switch (effect.kind) {
      case 'recall':
        this.#sendTo(effect.session, { kind: 'recall', id: effect.recall, ino: effect.ino, to: effect.to });
        break;
      case 'notify':
        this.#sendTo(effect.session, { kind: 'notice', id: effect.notice, notices: effect.notices });
        break;
      case 'granted':
        this.service.granted(effect.token);
        break;
      case 'settled':
        this.service.settled(effect.token);
        break;
      case 'claim-refused':
        throw new Violation(`session ${effect.session} claims ${effect.ino}, which another one holds`);
    }
  }

  /** What must wait until all sessions are back, or are known not to come. */
  whenServing(then: () => void): void {
    if (this.#serving) then();
    else this.#deferred.push(then);
  }

  /** Whether this leader may still act. One that finds that it may not stops for ever. */
  leads(): boolean {
    if (this.node.dead) return false;
    if (this.node.monotonicMs() < this.#leadsUntilMs || !this.world.rules.hold('leaders step down'))
      return true;
    this.node.die();
    for (const link of this.#links.keys()) link.closeByServer();
    return false;
  }

  #sendTo(session: string, message: ServerMessage): void {
    this.sessions.get(session)?.link?.sendToClient(message);
  }

  #expiry(): number {
    const slack = this.world.rules.hold('expiry is later than deadlines');
    return this.node.monotonicMs() + (slack ? EXPIRY_MS : TTL_MS);
  }

  #message(link: Link, message: ClientMessage): void {
    if (!this.leads()) return;
    if (message.kind !== 'heartbeat')
      this.world.simulation.note(
        () => `from ${this.#links.get(link)?.ref.id ?? '?'}: ${JSON.stringify(message)}`,
      );
    if (message.kind === 'hello') {
      this.#hello(link, message);
      return;
    }
    const session = this.#links.get(link);
    if (session === undefined) return;
    if (session.link !== link && this.world.rules.hold('superseded streams are ignored')) return;
    if (session.ended && this.world.rules.hold('ended sessions are fenced')) return;
    switch (message.kind) {
      case 'heartbeat':
        session.expiresAtMs = this.#expiry();
        this.send(session, message);
        return;
      case 'ack':
        if (!this.service.answered(session, message.id, message.live))
          this.perform(this.machine.acknowledge(session.ref.id, message.id));
        return;
      case 'release':
        this.perform(this.machine.release(session.ref.id, message.ino));
        this.service.reapUnknown();
        return;
      case 'request':
        this.whenServing(() => this.service.request(session, link, message.id, message.request));
    }
  }

  #closed(link: Link): void {
    const session = this.#links.get(link);
    this.#links.delete(link);
    if (session?.link === link) delete session.link;
  }

  #hello(link: Link, hello: ClientMessage & { kind: 'hello' }): void {
    const session = hello.session === undefined ? undefined : this.sessions.get(hello.session.id);
    const fenced = session?.ended === true && this.world.rules.hold('ended sessions are fenced');
    if (session === undefined || fenced || session.ref.epoch !== hello.session?.epoch) {
      this.#open(link);
      return;
    }
    if (hello.connection <= session.connection && this.world.rules.hold('old hellos are refused')) {
      link.closeByServer();
      return;
    }
    session.link?.closeByServer();
    session.link = link;
    session.connection = hello.connection;
    session.expiresAtMs = this.#expiry();
    session.back = true;
    this.#links.set(link, session);
    this.send(session, { kind: 'welcome', session: session.ref, resumed: true });
    this.service.forgetRequests(session);
    this.perform(this.machine.resetSession(session.ref.id, this.#validClaims(session, hello.claims)));
    this.service.askAgain(session.ref.id);
    this.service.reapUnknown();
    this.#serveIfComplete();
  }

  /** A claim is void when the commit that gives the lease up has been applied: others may have it by now. */
  #validClaims(session: LeaderSession, claims: readonly ModelClaim[]): ModelClaim[] {
    return claims.map((claim) => {
      const applied =
        claim.committing !== undefined &&
        this.memory.applied.has(`${session.ref.id}/${claim.committing}`) &&
        this.world.rules.hold('claims of applied commits lapse');
      return applied ? { ...claim, mode: 'known' } : claim;
    });
  }

  #open(link: Link): void {
    const ref = { id: this.world.newSessionId(), epoch: 1 };
    const session: LeaderSession = {
      ref,
      link,
      connection: 0,
      expiresAtMs: this.#expiry(),
      back: true,
      ended: false,
    };
    const welcome = (): void => {
      if (!this.leads() || !this.#links.has(link)) return;
      this.sessions.set(ref.id, session);
      this.machine.openSession(ref.id);
      this.#links.set(link, session);
      this.#watch(session);
      this.send(session, { kind: 'welcome', session: ref, resumed: false });
    };
    const storedFirst = this.world.rules.hold('sessions are stored first');
    this.writer.commit({
      keys: [],
      apply: (state) => state.sessions.set(ref.id, ref),
      applied: () => undefined,
      stored: () => storedFirst && this.node.run(welcome),
    });
    if (!storedFirst) welcome();
  }

  #watch(session: LeaderSession): void {
    const leftMs = session.expiresAtMs - this.node.monotonicMs();
    if (leftMs <= 0) this.#expire(session);
    else this.node.after(leftMs + 1, () => this.leads() && this.#watch(session));
  }

  /** Nothing is taken from the session from now on; what it holds is free once its end is stored. */
  #expire(session: LeaderSession): void {
    session.ended = true;
    const { id } = session.ref;
    if (this.world.rules.hold('ended sessions are fenced')) {
      session.link?.closeByServer();
      delete session.link;
    }
    this.service.forgetRequests(session);
    const letGo = (): void => {
      if (!this.leads()) return;
      if (this.world.rules.hold('ended sessions are fenced')) this.sessions.delete(id);
      this.perform(this.machine.endSession(id));
      this.service.askAgain(id);
      this.service.reapUnknown();
      this.#serveIfComplete();
    };
    const storedFirst = this.world.rules.hold('expiry is stored first');
    this.writer.commit({
      keys: [],
      apply: (state) => state.sessions.delete(id),
      applied: () => this.world.oracle.sessionEnded(id, this.world.simulation.nowMs),
      stored: () => storedFirst && this.node.run(letGo),
    });
    if (!storedFirst) letGo();
  }

  #serveIfComplete(): void {
    if (this.#serving || [...this.sessions.values()].some((session) => !session.back)) return;
    this.#serving = true;
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const task of deferred) task();
    this.service.reapUnknown();
  }
}
