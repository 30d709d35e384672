import { type Ino, type Name, parseName, silentLogger, timeNs } from '../../src/core/index.js';
import { RemoteClient, type RemoteClientOptions } from '../../src/coordinator/remote-client.js';
import { clientFrames, serverFrames } from '../../src/coordinator/wire/frame.js';
import {
  type ClientMessage,
  type Hello,
  type MemoryLink,
  MemoryNetwork,
  type Request,
  type Result,
  type SentInode,
  type ServerMessage,
  type ServerStream,
  type Welcome,
} from '../../src/coordinator/wire/index.js';
import { EMPTY_MANIFEST, type InodeRecord, NO_SOURCES, S_IFDIR, S_IFREG } from '../../src/namespace/index.js';
import { SimpleHost } from './simple-host.js';
import { SteppedClock, turns } from './stepped-clock.js';

export const TTL_MS = 10_000;

type Asked<O extends Request['op']> = { readonly id: number; readonly request: Extract<Request, { op: O }> };

/**
 * A coordinator that answers what the test says. Hello, heartbeats and inode ranges are answered by themselves
 * unless the test takes that over. All messages go through the real codec.
 */
export class ScriptedCoordinator {
  readonly network = new MemoryNetwork();
  /** Everything that came, heartbeats aside, in order, over all connections. */
  readonly received: ClientMessage[] = [];
  readonly hellos: Hello[] = [];
  answersHeartbeats = true;
  answersHello = true;
  /** Whether sessions that come back are known. */
  knowsSessions = true;
  #sessions = 0;
  #nextIno = 1000;
  #stream: ServerStream | undefined;
  readonly #close: () => void;

  constructor(address = 'a:1') {
    this.#close = this.network.listen(address, (stream) => {
      this.#stream = stream;
      return { message: (message) => this.#message(stream, overWire(message)), closed: () => undefined };
    });
  }

  close(): void {
    this.#close();
  }

  send(...messages: ServerMessage[]): void {
    for (const message of messages) this.#stream?.send(toWire(message));
  }

  /** Ends the connection as a coordinator that stops does. */
  endStream(): void {
    this.#stream?.close();
  }

  reply(asked: { readonly id: number }, result: Result): void {
    this.send({ kind: 'reply', id: asked.id, result });
  }

  /** The next request of this kind, which has come or will. */
  async asked<O extends Request['op']>(op: O): Promise<Asked<O>> {
    for (let i = 0; i < 2000; i++) {
      const at = this.received.findIndex(({ kind, ...rest }) => {
        return kind === 'request' && (rest as { request: Request }).request.op === op;
      });
      if (at >= 0) return this.received.splice(at, 1)[0] as unknown as Asked<O>;
      await new Promise(setImmediate);
    }
    throw new Error(`no ${op} has come; there is ${JSON.stringify(this.received.map(({ kind }) => kind))}`);
  }

  async got<K extends ClientMessage['kind']>(kind: K): Promise<Extract<ClientMessage, { kind: K }>> {
    for (let i = 0; i < 2000; i++) {
      const at = this.received.findIndex((message) => message.kind === kind);
      if (at >= 0) return this.received.splice(at, 1)[0] as Extract<ClientMessage, { kind: K }>;
      await new Promise(setImmediate);
    }
    throw new Error(`no ${kind} has come`);
  }

  /** Everything that came since the last call of it. */
  taken(): ClientMessage[] {
    return this.received.splice(0);
  }

  #message(stream: ServerStream, message: ClientMessage): void {
    if (message.kind === 'hello') {
      this.hellos.push(message);
      if (this.answersHello) stream.send(toWire(this.#welcome(message)));
    } else if (message.kind === 'heartbeat') {
      if (this.answersHeartbeats) stream.send({ kind: 'heartbeat', beat: message.beat });
    } else if (message.kind === 'request' && message.request.op === 'reserve-inos') {
      const { count } = message.request;
      const first = this.#nextIno as Ino;
      this.#nextIno += count;
      stream.send({ kind: 'reply', id: message.id, result: { op: 'reserve-inos', first, count } });
    } else this.received.push(message);
  }

  #welcome({ session }: Hello): Welcome {
    const resumed = session !== undefined && this.knowsSessions;
    const ref = resumed ? session : { id: String(++this.#sessions), epoch: 1 };
    return {
      kind: 'welcome',
      protocol: 1,
      session: ref,
      resumed,
      ttlMs: TTL_MS,
      clusterId: 'test',
      sites: [],
    };
  }
}

function overWire(message: ClientMessage): ClientMessage {
  return clientFrames.decode(clientFrames.encode([message]))[0] as ClientMessage;
}

function toWire(message: ServerMessage): ServerMessage {
  return serverFrames.decode(serverFrames.encode([message]))[0] as ServerMessage;
}

export interface Rig {
  readonly coordinator: ScriptedCoordinator;
  readonly client: RemoteClient;
  readonly host: SimpleHost;
  readonly clock: SteppedClock;
  readonly link: MemoryLink;
}

/** A client that is connected. */
export async function connected(options: Partial<RemoteClientOptions> = {}): Promise<Rig> {
  const rig = unconnected(options);
  await rig.client.start();
  await turns();
  rig.coordinator.taken();
  return rig;
}

export function unconnected(options: Partial<RemoteClientOptions> = {}): Rig {
  const coordinator = new ScriptedCoordinator();
  const link = coordinator.network.link('node1');
  const clock = new SteppedClock();
  const host = new SimpleHost();
  const client = new RemoteClient({
    dialer: link,
    addresses: ['a:1'],
    facts: { software: '0.2.0', site: 'onprem', member: 'node1', mountpoint: '/globalfs', pid: 1 },
    clock: clock,
    logger: silentLogger,
    unreachable: { kind: 'wait' },
    random: () => 0,
    ...options,
  });
  client.serve(host);
  return { coordinator, client, host, clock, link };
}

export const nameOf = (text: string): Name => parseName(text);
export const inoOf = (number: number): Ino => number as Ino;

export function file(ino: number, more: Partial<InodeRecord> = {}): InodeRecord {
  const now = timeNs(1_000_000_000n);
  return {
    ...{
      ino: ino as Ino,
      mode: S_IFREG | 0o644,
      uid: 0,
      gid: 0,
      nlink: 1,
      size: 0,
      allocatedBytes: 0,
      rdev: 0,
    },
    ...{ atimeNs: now, mtimeNs: now, ctimeNs: now, btimeNs: now, flags: 0, version: 0 },
    ...{ manifest: EMPTY_MANIFEST, sources: NO_SOURCES, target: '', parent: 0, entries: 0 },
    ...more,
  };
}

export const directory = (ino: number, more: Partial<InodeRecord> = {}): InodeRecord =>
  file(ino, { mode: S_IFDIR | 0o755, nlink: 2, parent: 1, ...more });

/** As the coordinator sends what may be kept. */
export const leased = (record: InodeRecord): SentInode => ({ record, leased: true, volatile: false });
