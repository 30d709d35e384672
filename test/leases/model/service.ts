import type { Ino } from '../../../src/core/index.js';
import { changesContent, decide, type Decision, inodeKey, nameKey, type Plan } from './commands.js';
import type { LeaderSession, ModelLeader } from './leader.js';
import type { Link } from './link.js';
import {
  type Change,
  DIRECTORY,
  type ModelCommand,
  type ModelRequest,
  type ModelResult,
  type SentName,
  type SentRecord,
} from './protocol.js';
import { Violation } from './simulation.js';

interface PendingRequest {
  readonly session: LeaderSession;
  readonly id: number;
  readonly request: ModelRequest;
  dropped: boolean;
  /** The machine has granted what it waited for, in this turn. */
  granted: boolean;
  /** A writer's answer of this turn. */
  live?: { readonly ino: Ino; readonly writer: string; readonly change: Change | undefined };
}

/** A command that is applied in memory, and not answered yet. */
interface RunningCommand {
  readonly key: string;
  readonly plan: Plan;
  readonly keys: readonly string[];
  readonly birth: boolean;
  request: PendingRequest | undefined;
  stored: boolean;
  settled: boolean;
}

export type Token = PendingRequest | RunningCommand;

interface Query {
  readonly writer: string;
  readonly ino: Ino;
  readonly request: PendingRequest;
}

type Execute = ModelRequest & { op: 'execute' };

/** How the coordinator evaluates requests: the order of looking, waiting, and looking again. */
export class Service {
  readonly #leader: ModelLeader;
  readonly #requests = new Set<PendingRequest>();
  readonly #running = new Map<string, RunningCommand>();
  #hidden: (() => void)[] = [];
  readonly #queries = new Map<number, Query>();

  constructor(leader: ModelLeader) {
    this.#leader = leader;
  }

  request(session: LeaderSession, link: Link, id: number, request: ModelRequest): void {
    const { rules } = this.#leader.world;
    if (session.link !== link && rules.hold('superseded streams are ignored')) return;
    if (session.ended && rules.hold('ended sessions are fenced')) return;
    const pending = { session, id, request, dropped: false, granted: false };
    this.#requests.add(pending);
    this.#evaluate(pending);
  }

  granted(token: Token): void {
    if (!('request' in token) || !('granted' in token)) throw new Violation('a command is granted');
    token.granted = true;
    this.#evaluate(token);
    token.granted = false;
  }

  settled(token: Token): void {
    if (!('settled' in token)) throw new Violation('a request is settled');
    token.settled = true;
    this.#finish(token);
    for (const again of this.#hidden.splice(0)) again();
  }

  /** An answer to a query; false when it is none. */
  answered(session: LeaderSession, id: number, live: Change | undefined): boolean {
    const query = this.#queries.get(id);
    if (query?.writer !== session.ref.id) return false;
    this.#queries.delete(id);
    query.request.live = { ino: query.ino, writer: query.writer, change: live };
    this.#evaluate(query.request);
    delete query.request.live;
    return true;
  }

  /** The session was cut off, or has ended: what it was asked is asked again, of whoever writes now. */
  askAgain(session: string): void {
    for (const [id, query] of [...this.#queries]) {
      if (query.writer !== session) continue;
      this.#queries.delete(id);
      this.#evaluate(query.request);
    }
  }

  forgetRequests(session: LeaderSession): void {
    for (const request of this.#requests) {
      if (request.session !== session) continue;
      request.dropped = true;
      this.#requests.delete(request);
    }
  }

  /** Deletes the inodes without a name that nobody knows. */
  reapUnknown(): void {
    const { memory, machine, writer, world, serving } = this.#leader;
    if (!serving) return;
    for (const { ino, named } of [...memory.inodes.values()]) {
      if (named || machine.isKnown(ino)) continue;
      memory.inodes.delete(ino);
      writer.commit({
        keys: [inodeKey(ino)],
        apply: (state) => state.inodes.delete(ino),
        applied: () => {
          if (world.isUsed(ino)) throw new Violation(`inode ${ino} is deleted while it is used`);
        },
        stored: () => undefined,
      });
    }
  }

  #evaluate(pending: PendingRequest): void {
    if (pending.dropped || !this.#leader.leads()) return;
    const { request } = pending;
    switch (request.op) {
      case 'lookup':
        return this.#lookup(pending, request.name);
      case 'inode':
        return this.#inode(pending, request.ino);
      case 'acquire':
        return this.#acquire(pending, request.ino, request.mode);
      case 'execute':
        return this.#execute(pending, request);
    }
  }

  #reply(pending: PendingRequest, result: ModelResult): void {
    if (pending.dropped) return;
    pending.dropped = true;
    this.#requests.delete(pending);
    this.#leader.send(pending.session, { kind: 'reply', id: pending.id, result });
  }

  /**
   * Answers, or waits until nothing of what the answer shows is on its way to the store, and starts again.
   * @param answer undefined when it waits for something else
   */
  #show(pending: PendingRequest, keys: string[], answer: () => ModelResult | undefined): void {
    const { rules } = this.#leader.world;
    if (!this.#isHidden(keys)) {
      const result = answer();
      if (result !== undefined) this.#reply(pending, result);
      return;
    }
    const anew = rules.hold('answers are evaluated anew') || pending.request.op === 'acquire';
    const old = anew ? undefined : answer();
    this.#whenShown(keys, () => (old === undefined ? this.#evaluate(pending) : this.#reply(pending, old)));
  }

  /** Not stored: a crash could undo it. Not settled: others may still be shown from their caches what was before. */
  #isHidden(keys: string[]): boolean {
    const { rules } = this.#leader.world;
    if (rules.hold('reads wait for the store') && this.#leader.writer.isPending(keys)) return true;
    return rules.hold('reads wait for acknowledgements') && this.#isUnsettled(keys);
  }

  #isUnsettled(keys: string[]): boolean {
    for (const { settled, keys: touched } of this.#running.values())
      if (!settled && touched.some((key) => keys.includes(key))) return true;
    return false;
  }

  #whenShown(keys: string[], then: () => void): void {
    const again = (): void => this.#leader.node.run(() => this.#whenShown(keys, then));
    if (this.#leader.writer.isPending(keys)) this.#leader.writer.whenStored(keys, again);
    else if (this.#isUnsettled(keys)) this.#hidden.push(again);
    else then();
  }

  #lookup(pending: PendingRequest, name: string): void {
    const entry = this.#leader.memory.entry(name);
    const keys = [nameKey(name)];
    if (entry.ino !== undefined) keys.push(inodeKey(entry.ino));
    this.#show(pending, keys, () => {
      const inode = entry.ino === undefined ? undefined : this.#sent(pending, entry.ino);
      if (inode === 'waits') return undefined;
      const leased = this.#leader.machine.grant(pending.session.ref.id, DIRECTORY, 'read');
      const sent = { name, entry, leased };
      return inode === undefined ? { op: 'lookup', sent } : { op: 'lookup', sent, inode };
    });
  }

  #inode(pending: PendingRequest, ino: Ino): void {
    this.#show(pending, [inodeKey(ino)], () => {
      const inode = this.#sent(pending, ino);
      if (inode === undefined) return { op: 'stale' };
      return inode === 'waits' ? undefined : { op: 'inode', inode };
    });
  }

  #sent(pending: PendingRequest, ino: Ino): SentRecord | 'waits' | undefined {
    const { machine, memory, world } = this.#leader;
    const record = memory.inodes.get(ino);
    if (record === undefined) return undefined;
    const session = pending.session.ref.id;
    const writer = machine.writerOf(ino);
    const elsewhere = writer !== undefined && writer !== session;
    if (elsewhere && world.rules.hold('reads keep away from writers')) {
      const { live } = pending;
      const asked = live?.ino === ino && live.writer === writer;
      if (!asked && world.rules.hold('writers are queried')) return this.#query(pending, writer, ino);
      machine.noteKnown(session, ino);
      return live?.change === undefined
        ? { record, leased: false }
        : { record, leased: false, live: live.change };
    }
    const leased = machine.grant(session, ino, 'read');
    machine.noteKnown(session, ino);
    return { record, leased };
  }

  #query(pending: PendingRequest, writer: string, ino: Ino): 'waits' {
    const id = this.#leader.machine.newId();
    this.#queries.set(id, { writer, ino, request: pending });
    const session = this.#leader.sessions.get(writer);
    if (session !== undefined) this.#leader.send(session, { kind: 'query', id, ino });
    return 'waits';
  }

  #acquire(pending: PendingRequest, ino: Ino, mode: 'read' | 'write'): void {
    const { machine, memory } = this.#leader;
    const session = pending.session.ref.id;
    const { granted } = pending;
    this.#show(pending, [inodeKey(ino)], () => {
      const record = memory.inodes.get(ino);
      if (record === undefined) {
        machine.release(session, ino);
        return { op: 'stale' };
      }
      if (granted) return { op: 'acquire', inode: { record, leased: true } };
      this.#leader.perform(machine.acquire(session, ino, mode, pending));
      return undefined;
    });
  }

  #execute(pending: PendingRequest, request: Execute): void {
    const { memory, machine, world } = this.#leader;
    const { command, number } = request;
    const session = pending.session.ref.id;
    const key = `${session}/${number}`;
    if (memory.applied.has(key) && world.rules.hold('commands apply once')) {
      this.#repeat(pending, key);
      return;
    }
    const decision = decide(memory, command);
    if (decision.kind !== 'plan') {
      if (pending.granted && changesContent(command)) machine.lower(session, command.ino, 'read');
      this.#refuse(pending, command, decision);
      return;
    }
    if (changesContent(command) && machine.mode(session, command.ino) !== 'write' && !pending.granted) {
      const writer = machine.writerOf(command.ino);
      if (command.kind !== 'truncate' && writer !== undefined)
        this.#refuse(pending, command, { kind: 'stale' });
      else this.#leader.perform(machine.exclude(session, command.ino, pending));
      return;
    }
    this.#apply(pending, request, key, decision.plan);
  }

  /** The first one of a command that is sent again may still wait: then this one waits with it. */
  #repeat(pending: PendingRequest, key: string): void {
    const running = this.#running.get(key);
    if (running === undefined) {
      this.#reply(pending, { op: 'execute', failed: false, names: [] });
      return;
    }
    running.request = pending;
    if (!this.#leader.world.rules.hold('repeated commands wait')) this.#answer(running);
  }

  #refuse(
    pending: PendingRequest,
    command: ModelCommand,
    decision: Exclude<Decision, { kind: 'plan' }>,
  ): void {
    const { machine, memory, world } = this.#leader;
    const names = decision.kind === 'failed' ? decision.names : [];
    const keys = 'name' in command ? names.map(nameKey) : [inodeKey(command.ino)];
    if (this.#isHidden(keys) && world.rules.hold('errors wait for the store')) {
      this.#whenShown(keys, () => this.#evaluate(pending));
      return;
    }
    if (decision.kind === 'stale') {
      this.#reply(pending, { op: 'stale' });
      return;
    }
    const sent = names.map((name) => ({
      name,
      entry: memory.entry(name),
      leased: machine.grant(pending.session.ref.id, DIRECTORY, 'read'),
    }));
    this.#reply(pending, { op: 'execute', failed: true, names: sent });
  }

  #apply(pending: PendingRequest, { command, keepWrite }: Execute, key: string, plan: Plan): void {
    const { memory, machine, world, writer, node } = this.#leader;
    const session = pending.session.ref.id;
    const apply = (state: typeof memory): void => {
      for (const { name, entry } of plan.names) state.names.set(name, entry);
      for (const record of plan.records) state.inodes.set(record.ino, record);
      state.applied.set(key, { names: plan.names.map(({ name }) => name) });
    };
    const held =
      machine.mode(session, (command as { ino?: Ino }).ino ?? DIRECTORY) === 'write' && !pending.granted;
    const running: RunningCommand = {
      key,
      plan,
      keys: [...plan.names.map(({ name }) => nameKey(name)), ...plan.records.map(({ ino }) => inodeKey(ino))],
      birth: command.kind === 'create',
      request: pending,
      stored: !world.rules.hold('answers wait for the store'),
      settled: false,
    };
    this.#running.set(key, running);
    apply(memory);
    writer.commit({
      keys: running.keys,
      apply,
      applied: () => {
        world.oracle.commandStored(session);
        plan.applied(world.oracle);
      },
      stored: () =>
        node.run(() => {
          running.stored = true;
          this.#finish(running);
        }),
    });
    if (command.kind === 'create') machine.grant(session, command.ino, 'write');
    this.#leader.perform(machine.invalidate(session, plan.changes, running));
    if (changesContent(command) && !(held && keepWrite))
      this.#leader.perform(machine.lower(session, command.ino, 'read'));
    this.reapUnknown();
  }

  #finish(running: RunningCommand): void {
    if (!running.stored || !running.settled || !this.#leader.leads()) return;
    if (this.#running.delete(running.key)) this.#answer(running);
  }

  #answer({ plan, birth, request }: RunningCommand): void {
    if (request === undefined || request.dropped) return;
    const { machine, memory, world } = this.#leader;
    const session = request.session.ref.id;
    const compared = world.rules.hold('answers are compared');
    const names: SentName[] = plan.names.map(({ name, entry }) => ({
      name,
      entry,
      leased: (memory.entry(name) === entry || !compared) && machine.grant(session, DIRECTORY, 'read'),
    }));
    const [record] = plan.records;
    if (record === undefined) {
      this.#reply(request, { op: 'execute', failed: false, names });
      return;
    }
    const same = memory.inodes.get(record.ino) === record || !compared;
    const confirmed = world.rules.hold('births are confirmed');
    const leased =
      same && (birth && !confirmed ? true : machine.grant(session, record.ino, birth ? 'write' : 'read'));
    machine.noteKnown(session, record.ino);
    this.#reply(request, { op: 'execute', failed: false, names, inode: { record, leased } });
  }
}
