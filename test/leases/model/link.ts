import type { ClientMessage, ServerMessage } from './protocol.js';
import type { Simulation, SimulatedNode } from './simulation.js';

/** How long what was under way when a stream was cut may still be on its way. */
const STRAY_MAX_MS = 500;
/** How long an end may not notice that the stream is cut. */
const UNNOTICED_MAX_MS = 400;

export interface LinkEnd<In> {
  readonly node: SimulatedNode;
  message(message: In): void;
  closed(): void;
}

/** One direction: in order, each message after a delay. */
class Direction<M> {
  readonly #simulation: Simulation;
  readonly #to: LinkEnd<M>;
  #queue: M[] = [];
  #lastArrivalMs = 0;
  /** Messages from now on do not arrive. */
  #broken = false;
  /** The receiver was told that it is over, or has said so. */
  #ended = false;

  constructor(simulation: Simulation, to: LinkEnd<M>) {
    this.#simulation = simulation;
    this.#to = to;
  }

  send(message: M): void {
    if (this.#broken) return;
    this.#queue.push(message);
    this.#arrive(this.#simulation.latency(), () => {
      const next = this.#queue.shift();
      if (next !== undefined && !this.#ended) this.#to.message(next);
    });
  }

  /** After what was sent, the receiver learns that the stream is over. */
  end(): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#arrive(0, () => this.#close());
  }

  /** What is on its way is lost, or arrives late; then the receiver learns of the end. */
  cut(): void {
    if (this.#broken) return;
    this.#broken = true;
    const { random } = this.#simulation;
    if (random.chance(45)) this.#queue = [];
    else if (random.chance(80)) {
      const strays = this.#queue;
      this.#queue = [];
      const delayMs = random.int(STRAY_MAX_MS);
      this.#arrive(delayMs, () => {
        for (const stray of strays) if (!this.#ended) this.#to.message(stray);
      });
    }
    this.#arrive(this.#simulation.delay(1, UNNOTICED_MAX_MS), () => this.#close());
  }

  /** The receiver wants to hear nothing more. */
  deafen(): void {
    this.#ended = true;
  }

  #close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#to.closed();
  }

  #arrive(delayMs: number, task: () => void): void {
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, this.#simulation.nowMs + delayMs);
    this.#simulation.at(this.#lastArrivalMs, () => this.#to.node.run(task));
  }
}

/** One stream between a client and a coordinator. Different streams do not wait for each other. */
export class Link {
  readonly #toClient: Direction<ServerMessage>;
  readonly #toServer: Direction<ClientMessage>;

  constructor(
    simulation: Simulation,
    client: LinkEnd<ServerMessage>,
    serverEnd: (link: Link) => LinkEnd<ClientMessage>,
  ) {
    this.#toClient = new Direction(simulation, client);
    this.#toServer = new Direction(simulation, serverEnd(this));
  }

  sendToServer(message: ClientMessage): void {
    this.#toServer.send(message);
  }

  sendToClient(message: ServerMessage): void {
    this.#toClient.send(message);
  }

  /** The network's fault, or the death of one end. */
  cut(): void {
    this.#toClient.cut();
    this.#toServer.cut();
  }

  /** What is on its way to the server still arrives, and is for the server to ignore. */
  closeByServer(): void {
    this.#toClient.end();
  }

  /** A client that gives up a stream does not know what becomes of what it has sent. */
  closeByClient(): void {
    this.#toClient.deafen();
    this.#toServer.cut();
  }
}
