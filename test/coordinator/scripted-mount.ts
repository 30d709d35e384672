import { type Ino, type Name, ROOT_INO, parseName, timeNs } from '../../src/core/index.js';
import type { LiveAttributes } from '../../src/coordinator/client.js';
import { Coordinator, type CoordinatorOptions } from '../../src/coordinator/coordinator.js';
import {
  type Claim,
  type ClaimedLock,
  type ClientMessage,
  type ClientStream,
  type Hello,
  MemoryNetwork,
  type MemoryLink,
  type Request,
  type Result,
  type ServerMessage,
  type Welcome,
} from '../../src/coordinator/wire/index.js';
import { type Command, type KvStore, MemoryStore, S_IFDIR, S_IFREG } from '../../src/namespace/index.js';
import { SteppedClock, turns } from './stepped-clock.js';

export const ADDRESS = 'coordinator:7400';
export const TTL_MS = 10_000;
export const SITE = {
  name: 'here',
  role: 'primary',
  status: 'active',
  store: { kind: 'directory', path: '/data' },
} as const;

/** A coordinator in memory, a network, and the mounts of one test. */
export class Cluster {
  readonly network = new MemoryNetwork();
  readonly clock = new SteppedClock();
  readonly kv: KvStore;
  coordinator: Coordinator;
  #unlisten: () => void;

  private constructor(kv: KvStore, coordinator: Coordinator, clock: SteppedClock) {
    this.kv = kv;
    this.clock = clock;
    this.coordinator = coordinator;
    this.#unlisten = this.network.listen(ADDRESS, (stream) => this.coordinator.accept(stream));
  }

  static async start(
    kv: KvStore = new MemoryStore(),
    more: Partial<CoordinatorOptions> = {},
  ): Promise<Cluster> {
    const clock = new SteppedClock();
    const coordinator = await Coordinator.open({ kv, clock, ttlMs: TTL_MS, clusterId: 'test', ...more });
    await coordinator.admin.registerSite(SITE);
    return new Cluster(kv, coordinator, clock);
  }

  /** The leader dies where it is; another one takes over what is stored. */
  async failOver(kv: KvStore = this.kv): Promise<void> {
    this.#unlisten();
    this.coordinator.abandon();
    await turns();
    this.coordinator = await Coordinator.open({ kv, clock: this.clock, ttlMs: TTL_MS });
    this.#unlisten = this.network.listen(ADDRESS, (stream) => this.coordinator.accept(stream));
  }

  /** A mount with a session. */
  async mount(member: string): Promise<ScriptedMount> {
    const mount = new ScriptedMount(this.network.link(member), member);
    await mount.hello();
    return mount;
  }

  stop(): void {
    this.#unlisten();
    this.coordinator.abandon();
  }
}

type Unstamped<T> = T extends { timeNs: unknown } ? Omit<T, 'timeNs'> : T;
type ResultOf<R extends Request> = Extract<Result, { op: R['op'] }>;

export interface Failed {
  readonly kind: 'error';
  readonly code: string;
}

/** A mount that says what the test has it say, and tells what it heard. */
export class ScriptedMount {
  readonly link: MemoryLink;
  readonly member: string;
  /** Everything that came, in order, over all connections. */
  heard: ServerMessage[] = [];
  /** Acknowledges notices, recalls and queries as they come. */
  obliging = true;
  /** What it answers queries with. */
  live: LiveAttributes | undefined;
  welcome: Welcome | undefined;
  /** Called with each message as it comes, before anything else is done about it. */
  listener: ((message: ServerMessage) => void) | undefined;
  closed = false;
  #stream: ClientStream | undefined;
  #lastId = 0;
  #number = 0;
  #connection = 0;
  #nowNs = 1_000_000n;
  #ino = 0;
  readonly #answers = new Map<number, (answer: Result | Failed) => void>();

  constructor(link: MemoryLink, member: string) {
    this.link = link;
    this.member = member;
  }

  get session(): string {
    return this.welcome?.session.id ?? '';
  }

  /** Connects; resolves when it is welcomed or refused. */
  async hello(more: Partial<Hello> = {}): Promise<ServerMessage> {
    this.closed = false;
    const first = new Promise<ServerMessage>((resolve) => {
      let greeted = false;
      const stream = this.link.connect(ADDRESS, {
        message: (message) => {
          if (this.#stream !== stream) return;
          if (!greeted) resolve(message);
          greeted = true;
          this.#receive(message);
        },
        closed: () => {
          if (this.#stream === stream) this.closed = true;
        },
      });
      this.#stream = stream;
      this.say({
        kind: 'hello',
        protocolMin: 1,
        protocolMax: 1,
        software: 'test',
        site: 'here',
        member: this.member,
        mountpoint: '/globalfs',
        pid: 1,
        claims: [],
        locks: [],
        answeredBelow: 0,
        connection: ++this.#connection,
        ...(this.welcome === undefined ? {} : { session: this.welcome.session }),
        ...more,
      });
    });
    const answer = await first;
    if (answer.kind === 'welcome') {
      this.welcome = answer;
      this.#ino = 0;
    }
    return answer;
  }

  /** A new connection of the same session. */
  async comeBack(
    claims: readonly Claim[] = [],
    locks: readonly ClaimedLock[] = [],
    more: Partial<Hello> = {},
  ): Promise<ServerMessage> {
    this.link.cut();
    await turns();
    return await this.hello({ claims, locks, ...more });
  }

  say(message: ClientMessage): void {
    this.#stream?.send(message);
  }

  send(request: Request): { readonly id: number; readonly answer: Promise<Result | Failed> } {
    const id = ++this.#lastId;
    const answer = new Promise<Result | Failed>((resolve) => this.#answers.set(id, resolve));
    this.say({ kind: 'request', id, request });
    return { id, answer };
  }

  /** The answer to a request that must succeed. */
  async ask<R extends Request>(request: R): Promise<ResultOf<R>> {
    const answer = await this.send(request).answer;
    if ('kind' in answer) throw new Error(`${request.op}: ${answer.code}`);
    return answer as ResultOf<R>;
  }

  /** The code of a request that must fail. */
  async errorOf(request: Request): Promise<string> {
    const answer = await this.send(request).answer;
    return 'kind' in answer ? answer.code : 'none';
  }

  command(command: Unstamped<Command>, more: { keepWrite?: boolean; number?: number } = {}): Request {
    this.#nowNs++;
    return {
      op: 'execute',
      number: more.number ?? ++this.#number,
      answeredBelow: 0,
      keepWrite: more.keepWrite ?? false,
      command: { ...command, timeNs: timeNs(this.#nowNs) } as Command,
    };
  }

  do(
    command: Unstamped<Command>,
    more: { keepWrite?: boolean } = {},
  ): Promise<ResultOf<Request & { op: 'execute' }>> {
    return this.ask(this.command(command, more) as Request & { op: 'execute' });
  }

  async nextIno(): Promise<Ino> {
    if (this.#ino === 0) this.#ino = (await this.ask({ op: 'reserve-inos', count: 1000 })).first;
    return this.#ino++ as Ino;
  }

  async creation(name: string, parent: Ino = ROOT_INO): Promise<Unstamped<Command>> {
    const ino = await this.nextIno();
    const caller = { uid: 1, gid: 1 };
    return { kind: 'create', parent, name: parseName(name), ino, caller, mode: S_IFREG | 0o644, umask: 0 };
  }

  async create(name: string, parent: Ino = ROOT_INO): Promise<Ino> {
    const { inode } = await this.do(await this.creation(name, parent));
    return inode.record.ino;
  }

  async mkdir(name: string, parent: Ino = ROOT_INO): Promise<Ino> {
    const ino = await this.nextIno();
    const caller = { uid: 1, gid: 1 };
    await this.do({
      kind: 'mkdir',
      parent,
      name: parseName(name),
      ino,
      caller,
      mode: S_IFDIR | 0o755,
      umask: 0,
    });
    return ino;
  }

  lookup(name: string, parent: Ino = ROOT_INO): Promise<ResultOf<Request & { op: 'lookup' }>> {
    return this.ask({ op: 'lookup', parent, name: name as Name });
  }

  /** What was heard of these kinds. */
  heardOf<K extends ServerMessage['kind']>(...kinds: K[]): Extract<ServerMessage, { kind: K }>[] {
    return this.heard.filter((message) => (kinds as string[]).includes(message.kind)) as Extract<
      ServerMessage,
      { kind: K }
    >[];
  }

  /** Acknowledges everything that was not, when it is not obliging. */
  acknowledgeAll(): void {
    for (const { id } of this.heardOf('notice', 'recall', 'query')) this.say({ kind: 'ack', id });
  }

  #receive(message: ServerMessage): void {
    this.heard.push(message);
    this.listener?.(message);
    if (message.kind === 'reply') this.#settle(message.id, message.result);
    else if (message.kind === 'error') this.#settle(message.id, { kind: 'error', code: message.code });
    else if (this.obliging && (message.kind === 'notice' || message.kind === 'recall')) {
      this.say({ kind: 'ack', id: message.id });
    } else if (this.obliging && message.kind === 'query') {
      const { id } = message;
      this.say(this.live === undefined ? { kind: 'ack', id } : { kind: 'ack', id, live: this.live });
    }
  }

  #settle(id: number, answer: Result | Failed): void {
    this.#answers.get(id)?.(answer);
    this.#answers.delete(id);
  }
}

/** Whether a promise is still open after everything that is due has happened. */
export async function isOpen(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  await turns();
  return !settled;
}
