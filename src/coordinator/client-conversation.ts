import { type Clock, GfsError } from '../core/index.js';
import {
  type ClientStream,
  type Dialer,
  type Hello,
  type NodeHealth,
  PROTOCOL_MAX,
  PROTOCOL_MIN,
  type Refused,
  type ServerMessage,
  type Welcome,
} from './wire/index.js';

/** From dialling to the welcome; a WAN with TLS needs four round trips. */
const HELLO_MS_MAX = 5000;

/** A heartbeat is sent this often, in parts of the time-to-live; unanswered for longer, the connection is given up. */
const BEAT_PART = 0.2;
const SILENCE_PART = 0.4;

/**
 * A goodbye is taken within a round trip, in the usual case; for a coordinator that is slow, a process that
 * wants to end waits this long. Then its leases stay until the session expires.
 */
const GOODBYE_MS_MAX = 2000;

/** What the coordinator says between welcome and end, heartbeats aside. */
export type Incoming = Exclude<ServerMessage, Welcome | Refused | { readonly kind: 'heartbeat' }>;

export interface ConversationOptions {
  readonly dialer: Dialer;
  readonly address: string;
  readonly clock: Clock;
  readonly hello: Hello;
  readonly health?: () => NodeHealth | undefined;
  /** @param askedMs monotonic time of the hello's sending */
  readonly welcomed: (welcome: Welcome, stream: ClientStream, askedMs: number) => void;
  /** A heartbeat was answered. @param askedMs monotonic time of its sending */
  readonly renewed: (askedMs: number) => void;
  readonly message: (message: Incoming) => void;
}

export interface ConversationEnd {
  readonly error: GfsError;
  readonly refused?: Refused;
  /** How long it lasted after the welcome; undefined when there was none. */
  readonly welcomedForMs: number | undefined;
}

/** One connection to one coordinator, from hello to its end, with its heartbeats. */
export class Conversation {
  static readonly protocols = { protocolMin: PROTOCOL_MIN, protocolMax: PROTOCOL_MAX };

  readonly ended: Promise<ConversationEnd>;
  readonly #options: ConversationOptions;
  readonly #stream: ClientStream;
  readonly #over = new AbortController();
  /** The stream has ended on both sides. */
  readonly #closed = new AbortController();
  #end: (end: ConversationEnd) => void = () => undefined;
  #welcomedMs: number | undefined;
  #refused: Refused | undefined;
  #lastBeat = 0;
  /** When each heartbeat was sent that is not answered. */
  readonly #beats = new Map<number, number>();

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    const askedMs = options.clock.monotonicMs();
    this.#stream = options.dialer.connect(options.address, {
      message: (message) => this.#message(message, askedMs),
      closed: (error) => {
        this.#closed.abort();
        this.#finish(error);
      },
    });
    this.#stream.send(options.hello);
    void this.#expectWelcome();
  }

  /**
   * Ends the session in order. The stream ends after the goodbye, and the coordinator's side of it after it has
   * taken that.
   * @returns false when the coordinator has not taken it in time
   */
  async leave(): Promise<boolean> {
    if (this.#over.signal.aborted) return true;
    const hasSession = this.#welcomedMs !== undefined;
    if (hasSession) this.#stream.send({ kind: 'goodbye' });
    this.abandon(new GfsError('CANCELLED', 'the session was ended here'));
    return !hasSession || !(await pause(this.#options.clock, GOODBYE_MS_MAX, this.#closed.signal));
  }

  /** Ends the connection, at once as far as this side is concerned. */
  abandon(error: GfsError): void {
    if (this.#over.signal.aborted) return;
    this.#finish(error);
    this.#stream.close();
  }

  #message(message: ServerMessage, askedMs: number): void {
    if (this.#over.signal.aborted) return;
    switch (message.kind) {
      case 'welcome':
        if (this.#welcomedMs !== undefined) return;
        this.#welcomedMs = this.#options.clock.monotonicMs();
        void this.#keepAlive(message.ttlMs);
        this.#options.welcomed(message, this.#stream, askedMs);
        return;
      case 'refused':
        this.#refused = message;
        this.abandon(new GfsError(message.code, message.message));
        return;
      case 'heartbeat':
        this.#beatAnswered(message.beat);
        return;
      default:
        this.#options.message(message);
    }
  }

  #beatAnswered(beat: number): void {
    const sentMs = this.#beats.get(beat);
    if (sentMs === undefined) return;
    for (const earlier of this.#beats.keys()) if (earlier <= beat) this.#beats.delete(earlier);
    this.#options.renewed(sentMs);
  }

  async #expectWelcome(): Promise<void> {
    const passed = await pause(this.#options.clock, HELLO_MS_MAX, this.#over.signal);
    if (passed && this.#welcomedMs === undefined) {
      this.abandon(
        new GfsError('UNAVAILABLE', `${this.#options.address} did not answer in ${HELLO_MS_MAX} ms`),
      );
    }
  }

  async #keepAlive(ttlMs: number): Promise<void> {
    const { clock, health } = this.#options;
    while (await pause(clock, ttlMs * BEAT_PART, this.#over.signal)) {
      const nowMs = clock.monotonicMs();
      const oldestMs = this.#beats.values().next().value ?? nowMs;
      if (nowMs - oldestMs > ttlMs * SILENCE_PART) {
        this.abandon(new GfsError('UNAVAILABLE', `${this.#options.address} has stopped answering`));
        return;
      }
      const beat = ++this.#lastBeat;
      this.#beats.set(beat, nowMs);
      const node = health?.();
      this.#stream.send(
        node === undefined ? { kind: 'heartbeat', beat } : { kind: 'heartbeat', beat, health: node },
      );
    }
  }

  #finish(error: GfsError): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    const nowMs = this.#options.clock.monotonicMs();
    const welcomedForMs = this.#welcomedMs === undefined ? undefined : nowMs - this.#welcomedMs;
    this.#end({
      error,
      welcomedForMs,
      ...(this.#refused === undefined ? {} : { refused: this.#refused }),
    });
  }
}

/** @returns whether the time has passed; false when `signal` was aborted */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal);
    return !signal.aborted;
  } catch (thrown) {
    if (signal.aborted) return false;
    throw thrown;
  }
}
