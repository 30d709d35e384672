import { type Clock, errorFields, GfsError, type Logger } from '../core/index.js';
import { AddressWalk } from './client-addresses.js';
import { Conversation, type ConversationEnd, type Incoming, pause } from './client-conversation.js';
import type { ClientStream, Dialer, Hello, NodeHealth, SessionRef, Welcome } from './wire/index.js';

/** A conversation that ends sooner after its welcome counts as a failure: the next one waits its turn. */
const SETTLED_MS = 1000;

/** The client takes its leases for lapsed before the coordinator does (after 1.1 of the time-to-live). */
export const HOLDER_PART = 0.9;

/** What a hello says that does not change. */
export type HelloFacts = Pick<Hello, 'software' | 'site' | 'member' | 'mountpoint' | 'pid'>;

/** How long calls wait while no coordinator answers; afterwards they fail with EIO, until one does. */
export type Unreachable = { readonly kind: 'wait' } | { readonly kind: 'fail'; readonly afterMs: number };

export interface ClientSessionOptions {
  readonly dialer: Dialer;
  /** Of coordinators, `host:port`; any of them knows who leads. At least one. */
  readonly addresses: readonly string[];
  readonly facts: HelloFacts;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly unreachable: Unreachable;
  /** The session of a process that has ended without ending it: it is gone on with. */
  readonly left?: SessionRef;
  /** Sent with every heartbeat. */
  readonly health?: () => NodeHealth | undefined;
  /** At least 0, less than 1: spreads the mounts that dial again after a leader is gone. */
  readonly random?: () => number;
}

/** What the session's owner does; all called from the event loop, `welcomed` and `message` in the order of arrival. */
export interface SessionOwner {
  /** A hello is about to be said: what is kept under read leases ends here. What goes on is claimed. */
  claim(): Pick<Hello, 'claims' | 'locks' | 'answeredBelow'>;
  welcomed(welcome: Welcome, stream: ClientStream): void;
  message(message: Incoming): void;
  disconnected(): void;
  /** The leases' deadline has passed. */
  lapsed(): void;
  /** Nobody has answered for as long as calls may wait. */
  unreachable(error: GfsError): void;
}

export interface SessionReport {
  readonly state: 'connecting' | 'connected' | 'stopped';
  /** Of the coordinator that is or was connected last, or is dialled now. */
  readonly address: string;
  /** How long the state has lasted. */
  readonly sinceMs: number;
  /** Until the leases lapse; negative when they have. */
  readonly deadlineInMs: number;
  readonly session: SessionRef | undefined;
  readonly connections: number;
}

/**
 * The mount's session with the coordinator: dials one address after the other until the leader is found,
 * says hello, keeps the session alive, and goes on with it on a new connection when one ends.
 */
export class ClientSession {
  readonly #options: ClientSessionOptions;
  readonly #owner: SessionOwner;
  readonly #addresses: AddressWalk;
  readonly #stopping = new AbortController();
  readonly #started: Promise<Welcome>;
  #firstWelcome: (welcome: Welcome) => void = () => undefined;
  #noWelcome: (error: GfsError) => void = () => undefined;
  #running: Promise<void> | undefined;
  #conversation: Conversation | undefined;
  #session: SessionRef | undefined;
  #ttlMs = 0;
  #deadlineMs = -Infinity;
  #guard: AbortController | undefined;
  #outage: AbortController | undefined;
  #state: SessionReport['state'] = 'connecting';
  #stateSinceMs: number;
  #connections = 0;
  /**
   * Of the last hello. The first is the time, so that a process that goes on with another one's session counts
   * on; if the clock was set back meanwhile, it is refused until that session has expired.
   */
  #hello: number;
  /** Of the last refusal that was logged: the same one comes again and again. */
  #lastRefusal = '';

  constructor(options: ClientSessionOptions, owner: SessionOwner) {
    this.#options = options;
    this.#owner = owner;
    this.#addresses = new AddressWalk(options.addresses, options.random ?? Math.random);
    this.#stateSinceMs = options.clock.monotonicMs();
    this.#session = options.left;
    this.#hello = Math.floor(options.clock.wallMs());
    this.#started = new Promise((resolve, reject) => {
      this.#firstWelcome = resolve;
      this.#noWelcome = reject;
    });
    this.#started.catch(() => undefined); // told to whoever calls `start`
  }

  /** Leases may be relied on: the coordinator takes the session for alive, whatever has happened since. */
  get live(): boolean {
    return this.#options.clock.monotonicMs() < this.#deadlineMs;
  }

  report(): SessionReport {
    const nowMs = this.#options.clock.monotonicMs();
    return {
      state: this.#state,
      address: this.#addresses.current,
      sinceMs: nowMs - this.#stateSinceMs,
      deadlineInMs: this.#deadlineMs - nowMs,
      session: this.#session,
      connections: this.#connections,
    };
  }

  /**
   * Connects.
   * @throws GfsError what a coordinator refused for good (CONFIG: versions, an unknown site); UNAVAILABLE after
   *   the time that calls may wait; CANCELLED
   */
  async start(signal?: AbortSignal): Promise<Welcome> {
    const giveUp = (): void => {
      this.#noWelcome(new GfsError('CANCELLED', 'the wait for a coordinator was given up'));
    };
    if (signal?.aborted === true) giveUp();
    signal?.addEventListener('abort', giveUp, { once: true });
    this.#beginOutage();
    this.#running ??= this.#run();
    try {
      return await this.#started;
    } catch (thrown) {
      await this.stop();
      throw thrown;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  /**
   * Ends the session: the coordinator frees all that it holds. Resolves when the coordinator has taken that,
   * or a little later when it does not answer.
   */
  async stop(): Promise<void> {
    this.#enter('stopped');
    this.#stopping.abort();
    this.#guard?.abort();
    this.#outage?.abort();
    this.#deadlineMs = -Infinity;
    this.#noWelcome(new GfsError('CANCELLED', 'the session was ended before a coordinator was found'));
    const told = await this.#conversation?.leave();
    if (told === false) {
      this.#options.logger.warn('the coordinator did not hear that this session ends: it will expire', {
        address: this.#addresses.current,
        ttlMs: this.#ttlMs,
      });
    }
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const end = await this.#converse(this.#addresses.current);
      if (signal.aborted) return;
      this.#owner.disconnected();
      this.#afterwards(end);
      const { pauseMs } = this.#addresses;
      if (pauseMs > 0) await pause(this.#options.clock, pauseMs, signal);
    }
  }

  #converse(address: string): Promise<ConversationEnd> {
    const { dialer, clock, facts, health } = this.#options;
    const hello: Hello = {
      kind: 'hello',
      ...Conversation.protocols,
      ...facts,
      ...(this.#session === undefined ? {} : { session: this.#session }),
      ...this.#owner.claim(),
      connection: ++this.#hello,
    };
    this.#conversation = new Conversation({
      ...{ dialer, address, clock, hello },
      ...(health === undefined ? {} : { health }),
      welcomed: (welcome, stream, askedMs) => this.#welcomed(welcome, stream, askedMs),
      renewed: (askedMs) => this.#renew(askedMs),
      message: (message) => this.#owner.message(message),
    });
    return this.#conversation.ended;
  }

  #welcomed(welcome: Welcome, stream: ClientStream, askedMs: number): void {
    this.#connections++;
    this.#session = welcome.session;
    this.#ttlMs = welcome.ttlMs;
    this.#outage?.abort();
    this.#outage = undefined;
    this.#enter('connected');
    // Also when it is earlier than before: this coordinator's time-to-live may be shorter.
    this.#deadlineMs = askedMs + welcome.ttlMs * HOLDER_PART;
    this.#renew(askedMs);
    this.#options.logger.info('connected to the coordinator', {
      address: this.#addresses.current,
      session: welcome.session.id,
      resumed: welcome.resumed,
    });
    this.#owner.welcomed(welcome, stream);
    this.#firstWelcome(welcome);
  }

  /** The coordinator counts from the receipt of what was sent at `askedMs`, which is later. */
  #renew(askedMs: number): void {
    this.#deadlineMs = Math.max(this.#deadlineMs, askedMs + this.#ttlMs * HOLDER_PART);
    if (this.#guard === undefined && this.#state !== 'stopped') {
      this.#guard = new AbortController();
      void this.#watchDeadline(this.#guard.signal);
    }
  }

  async #watchDeadline(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    for (;;) {
      const leftMs = this.#deadlineMs - clock.monotonicMs();
      if (leftMs <= 0) break;
      if (!(await pause(clock, leftMs, signal))) return;
    }
    this.#guard = undefined;
    logger.warn('the leases have lapsed: the coordinator did not answer in time', {
      address: this.#addresses.current,
      ttlMs: this.#ttlMs,
    });
    this.#owner.lapsed();
    // What the coordinator thinks of us must be settled by a new hello.
    this.#conversation?.abandon(new GfsError('TIMEOUT', 'no heartbeat was answered in time'));
  }

  #afterwards({ error, refused, welcomedForMs }: ConversationEnd): void {
    const { logger } = this.#options;
    const address = this.#addresses.current;
    if (welcomedForMs !== undefined) {
      logger.warn('the connection to the coordinator ended', { address, ...errorFields(error) });
      this.#enter('connecting');
      this.#beginOutage();
    } else logger.debug('no coordinator at an address', { address, ...errorFields(error) });
    const forGood = refused !== undefined && refused.leader === undefined && !error.retryable;
    if (forGood) {
      if (error.message !== this.#lastRefusal)
        logger.error('the coordinator refuses this mount', { address, ...errorFields(error) });
      this.#lastRefusal = error.message;
      this.#noWelcome(error);
    }
    if (welcomedForMs !== undefined && welcomedForMs > SETTLED_MS) this.#addresses.settled();
    else this.#addresses.failed(refused?.leader);
  }

  #beginOutage(): void {
    const { unreachable, clock } = this.#options;
    if (unreachable.kind === 'wait' || this.#outage !== undefined) return;
    const { signal } = (this.#outage = new AbortController());
    void pause(clock, unreachable.afterMs, signal).then((passed) => {
      if (!passed) return;
      const error = new GfsError('EIO', `no coordinator has answered for ${unreachable.afterMs} ms`);
      this.#owner.unreachable(error);
      this.#noWelcome(new GfsError('UNAVAILABLE', error.message));
    });
  }

  #enter(state: SessionReport['state']): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#stateSinceMs = this.#options.clock.monotonicMs();
  }
}
