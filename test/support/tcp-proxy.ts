import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';

export interface TcpProxyOptions {
  readonly host?: string;
  readonly port: number;
  /** In each direction: half a round trip. Throughput stays what it is. */
  readonly delayMs?: number;
  /** In each direction and for each connection. */
  readonly bytesPerSecond?: number;
}

/** `up` is from whoever connected to the server behind the proxy. */
export type Direction = 'up' | 'down';

/** More than this under way, and the sender is paused: what 1 Gbit/s has under way in half a second. */
const LANE_BYTES_MAX = 64 * 1024 * 1024;

/** A network in the shape of a TCP proxy on loopback, that can be slow, stall, and be cut. */
export class TcpProxy {
  delayMs: number;
  bytesPerSecond: number;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #stalled = new Set<Direction>();
  #isCut = false;
  #cutAfterBytes = Infinity;

  static async start(options: TcpProxyOptions): Promise<TcpProxy> {
    const proxy = new TcpProxy(options);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  private constructor({ host = '127.0.0.1', port, delayMs = 0, bytesPerSecond = Infinity }: TcpProxyOptions) {
    this.#target = { host, port };
    this.delayMs = delayMs;
    this.bytesPerSecond = bytesPerSecond;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Of connections that are open. */
  get connections(): number {
    return this.#connections.size;
  }

  isStalled(direction: Direction): boolean {
    return this.#stalled.has(direction);
  }

  /** Connections are reset, also new ones, until `heal`. */
  cut(): void {
    this.#isCut = true;
    for (const connection of [...this.#connections]) connection.destroy();
  }

  /** Each connection is cut when so many more bytes have gone down on it, and the network with it. */
  cutAfter(bytesDown: number): void {
    this.#cutAfterBytes = bytesDown;
    for (const connection of this.#connections) connection.downLeft = bytesDown;
  }

  /** Bytes stay where they are; connections stay open, and new ones are accepted. */
  stall(direction?: Direction): void {
    for (const each of direction === undefined ? (['up', 'down'] as const) : [direction]) {
      this.#stalled.add(each);
    }
  }

  /** As before; what was stalled goes on its way. */
  heal(): void {
    this.#isCut = false;
    this.#cutAfterBytes = Infinity;
    this.#stalled.clear();
    for (const connection of this.#connections) {
      connection.downLeft = Infinity;
      connection.pump();
    }
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    if (this.#isCut) {
      client.on('error', () => undefined); // it is gone already
      client.resetAndDestroy();
      return;
    }
    const server = connect({ ...this.#target, allowHalfOpen: true, noDelay: true });
    const connection = new Connection(this, client, server, {
      closed: () => this.#connections.delete(connection),
      downUsedUp: () => this.cut(),
    });
    connection.downLeft = this.#cutAfterBytes;
    this.#connections.add(connection);
  }
}

interface ConnectionHandler {
  closed(): void;
  downUsedUp(): void;
}

class Connection {
  downLeft = Infinity;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #lanes: readonly Lane[];
  readonly #handler: ConnectionHandler;
  #destroyed = false;

  constructor(proxy: TcpProxy, client: Socket, server: Socket, handler: ConnectionHandler) {
    this.#client = client;
    this.#server = server;
    this.#handler = handler;
    this.#lanes = [
      new Lane(proxy, 'up', client, (part) => void (part === undefined ? server.end() : server.write(part))),
      new Lane(proxy, 'down', server, (part) => this.#down(part)),
    ];
    for (const socket of [client, server]) {
      socket.on('error', () => this.destroy());
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) this.destroy();
      });
    }
  }

  pump(): void {
    for (const lane of this.#lanes) lane.pump();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const lane of this.#lanes) lane.stop();
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
    this.#handler.closed();
  }

  #down(part: Buffer | undefined): void {
    if (part === undefined) {
      this.#client.end();
    } else if (part.length < this.downLeft) {
      this.downLeft -= part.length;
      this.#client.write(part);
    } else {
      // A reset would overtake the last bytes.
      const last = part.subarray(0, this.downLeft);
      this.downLeft = 0;
      this.#client.write(last, () => this.#handler.downUsedUp());
    }
  }
}

interface Parcel {
  /** Undefined: the sender has ended its side. */
  readonly part: Buffer | undefined;
  /** When it arrives. */
  readonly dueMs: number;
}

/** One direction of a connection. */
class Lane {
  readonly #proxy: TcpProxy;
  readonly #direction: Direction;
  readonly #source: Socket;
  readonly #deliver: (part: Buffer | undefined) => void;
  readonly #parcels: Parcel[] = [];
  #bytes = 0;
  /** When the line has sent what it was given, at its rate. */
  #freeMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(
    proxy: TcpProxy,
    direction: Direction,
    source: Socket,
    deliver: (part: Buffer | undefined) => void,
  ) {
    this.#proxy = proxy;
    this.#direction = direction;
    this.#source = source;
    this.#deliver = deliver;
    source.on('data', (part) => this.#enqueue(part));
    source.on('end', () => this.#enqueue(undefined));
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  pump(): void {
    clearTimeout(this.#timer);
    while (!this.#stopped && !this.#proxy.isStalled(this.#direction)) {
      const parcel = this.#parcels[0];
      if (parcel === undefined) return;
      const leftMs = parcel.dueMs - performance.now();
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.pump(), leftMs);
        return;
      }
      this.#parcels.shift();
      this.#bytes -= parcel.part?.length ?? 0;
      if (this.#bytes <= LANE_BYTES_MAX && this.#source.isPaused()) this.#source.resume();
      this.#deliver(parcel.part);
    }
  }

  #enqueue(part: Buffer | undefined): void {
    const bytes = part?.length ?? 0;
    this.#freeMs = Math.max(this.#freeMs, performance.now()) + (1000 * bytes) / this.#proxy.bytesPerSecond;
    this.#parcels.push({ part, dueMs: this.#freeMs + this.#proxy.delayMs });
    this.#bytes += bytes;
    if (this.#bytes > LANE_BYTES_MAX) this.#source.pause();
    this.pump();
  }
}
