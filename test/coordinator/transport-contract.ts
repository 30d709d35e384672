import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type {
  AcceptStream,
  ClientMessage,
  ClientStream,
  Dialer,
  ServerMessage,
  ServerStream,
} from '../../src/coordinator/wire/index.js';
import type { GfsError } from '../../src/core/index.js';

/** Something that carries streams, and an address at which it is listened to. */
export interface Carrier {
  readonly dialer: Dialer;
  readonly address: string;
  /** Where nobody listens. */
  readonly deserted: string;
  close(): Promise<void>;
}

/** What one side of a stream heard, and a way to wait for it. */
export class Heard<M> {
  readonly messages: M[] = [];
  closed = 0;
  error: GfsError | undefined;
  #waiting: (() => void)[] = [];

  message(message: M): void {
    this.messages.push(message);
    this.#wake();
  }

  close(error?: GfsError): void {
    this.closed++;
    this.error = error;
    this.#wake();
  }

  /** The suite's own timeout ends a wait that never ends. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

export interface Accepted extends Heard<ClientMessage> {
  stream: ServerStream;
}

/** A listener that keeps what comes. */
export class Listener {
  readonly accepted: Accepted[] = [];
  readonly #arrivals = new Heard<never>();

  readonly accept: AcceptStream = (stream) => {
    const heard = Object.assign(new Heard<ClientMessage>(), { stream });
    this.accepted.push(heard);
    this.#arrivals.close();
    return { message: (message) => heard.message(message), closed: () => heard.close() };
  };

  async stream(index: number): Promise<Accepted> {
    await this.#arrivals.until(() => this.accepted.length > index);
    return this.accepted[index] as Accepted;
  }
}

export function dial(dialer: Dialer, address: string): Heard<ServerMessage> & { stream: ClientStream } {
  const heard = new Heard<ServerMessage>();
  const stream = dialer.connect(address, {
    message: (message) => heard.message(message),
    closed: (error) => heard.close(error),
  });
  return Object.assign(heard, { stream });
}

const beat = (number: number): ClientMessage & ServerMessage => ({ kind: 'heartbeat', beat: number });
const beats = (count: number): (ClientMessage & ServerMessage)[] =>
  Array.from({ length: count }, (_, n) => beat(n));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What every implementation of the transport promises. */
export function transportContract(name: string, open: (accept: AcceptStream) => Promise<Carrier>): void {
  describe(`${name} keeps the promises of a transport`, () => {
    let listener: Listener;
    let carrier: Carrier;

    beforeEach(async () => {
      listener = new Listener();
      carrier = await open(listener.accept);
    });
    afterEach(() => carrier.close());

    test('messages arrive in order, both ways', async () => {
      const client = dial(carrier.dialer, carrier.address);
      for (const message of beats(500)) client.stream.send(message);
      const server = await listener.stream(0);
      for (const [n, message] of beats(500).entries()) {
        server.stream.send(message);
        if (n % 50 === 0) await turn();
      }
      await Promise.all([
        server.until(() => server.messages.length === 500),
        client.until(() => client.messages.length === 500),
      ]);
      expect(server.messages).toEqual(beats(500));
      expect(client.messages).toEqual(beats(500));
    });

    test('a message of megabytes arrives', async () => {
      const client = dial(carrier.dialer, carrier.address);
      const inos = Array.from({ length: 600_000 }, (_, n) => (n + 2 ** 40) as never);
      client.stream.send({ kind: 'release', inos });
      client.stream.send(beat(1));
      const server = await listener.stream(0);
      await server.until(() => server.messages.length === 2);
      const [large, small] = server.messages;
      // One comparison instead of toEqual's 600,000, each of which takes 8 µs.
      expect(JSON.stringify(large) === JSON.stringify({ kind: 'release', inos })).toBe(true);
      expect(small).toEqual(beat(1));
    });

    test('nothing is heard from within send and close', async () => {
      const client = dial(carrier.dialer, carrier.address);
      client.stream.send(beat(1));
      client.stream.close();
      expect(client.closed).toBe(0);
      expect(listener.accepted).toEqual([]);
      await client.until(() => client.closed > 0);
    });

    test('the client ends the stream after what it sent', async () => {
      const client = dial(carrier.dialer, carrier.address);
      for (const message of beats(100)) client.stream.send(message);
      client.stream.close();
      const server = await listener.stream(0);
      await Promise.all([server.until(() => server.closed > 0), client.until(() => client.closed > 0)]);
      expect(server.messages).toEqual(beats(100));
      expect(client.error?.code).toBe('CANCELLED');
    });

    test('the coordinator ends the stream after what it sent', async () => {
      const client = dial(carrier.dialer, carrier.address);
      client.stream.send(beat(0));
      const server = await listener.stream(0);
      for (const message of beats(100)) server.stream.send(message);
      server.stream.close();
      await Promise.all([server.until(() => server.closed > 0), client.until(() => client.closed > 0)]);
      expect(client.messages).toEqual(beats(100));
      expect(client.error).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
      expect(client.error?.message).toContain(carrier.address);
    });

    test('the end is told once, and nothing can be sent after it', async () => {
      const client = dial(carrier.dialer, carrier.address);
      client.stream.send(beat(0));
      const server = await listener.stream(0);
      client.stream.close();
      client.stream.close();
      await Promise.all([server.until(() => server.closed > 0), client.until(() => client.closed > 0)]);
      server.stream.send(beat(1));
      server.stream.close();
      client.stream.send(beat(2));
      client.stream.close();
      for (let n = 0; n < 10; n++) await turn();
      expect([server.closed, client.closed]).toEqual([1, 1]);
      expect(client.messages).toEqual([]);
      expect(server.messages).toEqual([beat(0)]);
    });

    test('where nobody listens, the end says so, with the address', async () => {
      const client = dial(carrier.dialer, carrier.deserted);
      client.stream.send(beat(0));
      await client.until(() => client.closed > 0);
      expect(client.error).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
      expect(client.error?.message).toContain(carrier.deserted);
    });

    test('a message that does not fit the wire is refused, and the stream goes on', async () => {
      const client = dial(carrier.dialer, carrier.address);
      client.stream.send(beat(0));
      expect(() => client.stream.send(beat(-1))).toThrow(expect.objectContaining({ code: 'EINVAL' }));
      client.stream.send(beat(1));
      const server = await listener.stream(0);
      await server.until(() => server.messages.length === 2);
      expect(server.messages).toEqual([beat(0), beat(1)]);
    });
  });
}
