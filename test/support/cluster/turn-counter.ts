import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What a client sends first (RFC 9113, 3.4), before its frames. */
const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;
const DATA = 0;

/** Finds the DATA frames of one direction of an HTTP/2 connection: the rest is the protocol's own affair. */
class DataFrames {
  #skip: number;
  #head = Buffer.alloc(0);

  constructor(skip: number) {
    this.#skip = skip;
  }

  /** Whether a DATA frame with content begins in this part of the stream. */
  beginsIn(part: Buffer): boolean {
    let found = false;
    for (let at = 0; at < part.length;) {
      const skipped = Math.min(this.#skip, part.length - at);
      this.#skip -= skipped;
      at += skipped;
      const taken = part.subarray(at, at + FRAME_HEAD_BYTES - this.#head.length);
      this.#head = Buffer.concat([this.#head, taken]);
      at += taken.length;
      if (this.#head.length < FRAME_HEAD_BYTES) break;
      this.#skip = this.#head.readUIntBE(0, 3);
      found ||= this.#head[3] === DATA && this.#skip > 0;
      this.#head = Buffer.alloc(0);
    }
    return found;
  }
}

/**
 * Passes the connections of one gRPC client on to a server without TLS, and counts how often the client speaks
 * after it has been answered: for somebody who does one thing after the other, the number of round trips.
 */
export class TurnCounter {
  turns = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #answered = true;

  private constructor(targetPort: number) {
    this.#server = createServer({ noDelay: true }, (client) => {
      const server = connect({ host: '127.0.0.1', port: targetPort, noDelay: true });
      const up = new DataFrames(PREFACE_BYTES);
      const down = new DataFrames(0);
      client.on('data', (part) => {
        if (up.beginsIn(part)) this.#asked();
        server.write(part);
      });
      server.on('data', (part) => {
        if (down.beginsIn(part)) this.#answered = true;
        client.write(part);
      });
      for (const [socket, other] of [
        [client, server],
        [server, client],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
      }
    });
  }

  static async start(targetPort: number): Promise<TurnCounter> {
    const counter = new TurnCounter(targetPort);
    await new Promise<void>((resolve, reject) => {
      counter.#server.once('error', reject);
      counter.#server.listen(0, '127.0.0.1', resolve);
    });
    return counter;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #asked(): void {
    if (this.#answered) this.turns++;
    this.#answered = false;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
