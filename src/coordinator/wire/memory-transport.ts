import { GfsError } from '../../core/index.js';
import { clientFrames, serverFrames } from './frame.js';
import { MemoryPipe } from './memory-pipe.js';
import type { ClientMessage, ServerMessage } from './messages.js';
import type { AcceptStream, ClientStream, ClientStreamHandler, Dialer, StreamHandler } from './transport.js';

/** Calls `run` after `delayMs`; with 0 in a later turn of the event loop. A simulator brings its own. */
export type Schedule = (run: () => void, delayMs: number) => void;

const byTimers: Schedule = (run, delayMs) => {
  if (delayMs === 0) setImmediate(run);
  else setTimeout(run, delayMs);
};

/**
 * A network in memory, for tests: listeners by address, and dialers by the name of the node that dials.
 * Each dialer's link can be delayed, stalled and cut by itself.
 */
export class MemoryNetwork {
  readonly #listeners = new Map<string, AcceptStream>();
  readonly #links = new Set<MemoryLink>();
  readonly #schedule: Schedule;

  constructor(options: { readonly schedule?: Schedule } = {}) {
    this.#schedule = options.schedule ?? byTimers;
  }

  /** @returns how to stop: nobody can connect any more, and the streams that there are end */
  listen(address: string, accept: AcceptStream): () => void {
    if (this.#listeners.has(address)) throw new GfsError('EBUSY', `somebody listens on ${address} already`);
    this.#listeners.set(address, accept);
    return () => {
      this.#listeners.delete(address);
      for (const link of this.#links) link.cut(address);
    };
  }

  /** The connections of one node. `node` is what the listener sees as the peer. */
  link(node: string): MemoryLink {
    const link = new MemoryLink(node, (address) => this.#listeners.get(address), this.#schedule);
    this.#links.add(link);
    return link;
  }
}

interface Connection {
  readonly address: string;
  readonly up: MemoryPipe<ClientMessage>;
  readonly down: MemoryPipe<ServerMessage>;
  readonly end: (reason: GfsError) => void;
}

/** A dialer, and what can befall its connections. */
export class MemoryLink implements Dialer {
  readonly #node: string;
  readonly #listener: (address: string) => AcceptStream | undefined;
  readonly #schedule: Schedule;
  readonly #connections = new Set<Connection>();
  #delayMs = 0;
  #unreachable = false;
  #stalledUp = false;
  #stalledDown = false;

  constructor(node: string, listener: (address: string) => AcceptStream | undefined, schedule: Schedule) {
    this.#node = node;
    this.#listener = listener;
    this.#schedule = schedule;
  }

  /** Time that every frame takes from now on, in each direction; the order stays. */
  set delayMs(delayMs: number) {
    this.#delayMs = delayMs;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Ends the connections (of one address) at once, in both directions; what is under way is lost. */
  cut(address?: string): void {
    for (const connection of [...this.#connections]) {
      if (address !== undefined && connection.address !== address) continue;
      connection.end(new GfsError('UNAVAILABLE', `the connection to ${connection.address} was cut`));
    }
  }

  /** While true, nobody can be connected to. Connections that there are stay: see `cut`. */
  set unreachable(unreachable: boolean) {
    this.#unreachable = unreachable;
  }

  /** Frames are kept, in order, until `resume`. `up`: to the listener; `down`: from it. */
  stall(direction: 'up' | 'down' | 'both' = 'both'): void {
    this.#setStalled(direction, true);
  }

  resume(direction: 'up' | 'down' | 'both' = 'both'): void {
    this.#setStalled(direction, false);
  }

  #setStalled(direction: 'up' | 'down' | 'both', stalled: boolean): void {
    if (direction !== 'down') this.#stalledUp = stalled;
    if (direction !== 'up') this.#stalledDown = stalled;
    for (const { up, down } of [...this.#connections]) {
      up.stalled = this.#stalledUp;
      down.stalled = this.#stalledDown;
    }
  }

  connect(address: string, handler: ClientStreamHandler): ClientStream {
    const schedule = (run: () => void): void => this.#schedule(run, this.#delayMs);
    let server: StreamHandler | undefined;
    let open = true;
    const up = new MemoryPipe(clientFrames, schedule, (message) => {
      if (open) server?.message(message);
    });
    const down = new MemoryPipe(serverFrames, schedule, (message) => {
      if (open) handler.message(message);
    });
    const end = (reason: GfsError): void => {
      if (!open) return;
      open = false;
      this.#connections.delete(connection);
      // In a turn of its own: never from within the caller's `cut`, `send` or `close`.
      this.#schedule(() => {
        handler.closed(reason);
        server?.closed();
      }, 0);
    };
    const connection: Connection = { address, up, down, end };
    this.#connections.add(connection);
    up.stalled = this.#stalledUp;
    down.stalled = this.#stalledDown;

    // The first thing that travels up is the connection itself.
    up.call(() => {
      if (!open) return;
      const accept = this.#unreachable ? undefined : this.#listener(address);
      if (accept === undefined) {
        end(new GfsError('UNAVAILABLE', `nobody answers at ${address}`));
        return;
      }
      server = accept({
        peer: this.#node,
        send: (message) => {
          if (open) down.send(message);
        },
        close: () => down.call(() => end(new GfsError('UNAVAILABLE', `${address} ended the connection`))),
      });
    });
    return {
      send: (message) => {
        if (open) up.send(message);
      },
      close: () => up.call(() => end(new GfsError('CANCELLED', `the connection to ${address} was closed`))),
    };
  }
}
