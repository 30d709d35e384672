import { GfsError, type Logger } from '../core/index.js';
import type { Admission } from './admission.js';
import type { Grace } from './grace.js';
import type { LeaseDesk } from './lease-desk.js';
import type { LockRequests } from './lock-requests.js';
import { OpenRequest } from './open-request.js';
import type { Orphans } from './orphans.js';
import type { RequestHandlers } from './request-handlers.js';
import type { Session } from './session.js';
import type { SessionRegistry } from './session-registry.js';
import type { ClientMessage, Hello, ServerStream, StreamHandler } from './wire/index.js';

/**
 * Requests that one mount may have waiting: far more than the kernel has under way (its bound for
 * background requests is 12 to some hundreds, plus one per thread), so that only a broken mount meets it.
 */
const WAITING_MAX = 65_536;

export interface ConnectionParts {
  readonly admission: Admission;
  readonly sessions: SessionRegistry;
  readonly grace: Grace;
  readonly desk: LeaseDesk;
  readonly locks: LockRequests;
  readonly orphans: Orphans;
  readonly requests: RequestHandlers;
  readonly logger: Logger;
}

type ConnectionState =
  | { readonly kind: 'new' }
  /** `hello` is being answered. */
  | { readonly kind: 'opening' }
  | { readonly kind: 'open'; readonly session: Session }
  | { readonly kind: 'over' };

type RequestMessage = Extract<ClientMessage, { kind: 'request' | 'cancel' | 'release' }>;

/** One stream of a mount: first `hello`, then everything else, as long as it is its session's present stream. */
export class Connection implements StreamHandler {
  readonly #parts: ConnectionParts;
  readonly #stream: ServerStream;
  #state: ConnectionState = { kind: 'new' };

  constructor(parts: ConnectionParts, stream: ServerStream) {
    this.#parts = parts;
    this.#stream = stream;
  }

  message(message: ClientMessage): void {
    switch (this.#state.kind) {
      case 'open':
        if (this.#isPresent(this.#state.session)) this.#receive(this.#state.session, message);
        break;
      case 'new':
        if (message.kind === 'hello') this.#hello(message);
        else this.#breakOff('the first message of a stream must be hello');
        break;
      case 'opening':
        this.#breakOff(`${message.kind} came before the answer to hello`);
        break;
      case 'over':
    }
  }

  closed(): void {
    const state = this.#state;
    this.#state = { kind: 'over' };
    if (state.kind === 'open') this.#parts.sessions.disconnected(state.session, this.#stream);
  }

  #hello(hello: Hello): void {
    this.#state = { kind: 'opening' };
    this.#parts.admission.admit(hello, this.#stream, (session) => {
      if (session === undefined) {
        this.#state = { kind: 'over' };
      } else if (this.#state.kind === 'opening') {
        this.#state = { kind: 'open', session };
      } else {
        // The stream has ended meanwhile: nobody knows of the session.
        this.#parts.sessions.end(session, 'its mount went before it was welcomed');
      }
    });
  }

  #receive(session: Session, message: ClientMessage): void {
    const { sessions, desk, grace } = this.#parts;
    switch (message.kind) {
      case 'heartbeat':
        sessions.heartbeat(session, message.health);
        session.send({ kind: 'heartbeat', beat: message.beat });
        break;
      case 'ack':
        desk.acknowledge(session, message.id, message.live);
        break;
      case 'request':
      case 'cancel':
      case 'release':
        if (grace.isOver) {
          this.#serve(session, message);
        } else {
          grace.hold(() => {
            if (this.#isPresent(session)) this.#serve(session, message);
          });
        }
        break;
      case 'goodbye':
        this.#state = { kind: 'over' };
        sessions.end(session, 'the mount has said goodbye');
        break;
      case 'hello':
        this.#breakOff('hello came twice');
        break;
    }
  }

  #serve(session: Session, message: RequestMessage): void {
    const { desk, locks, orphans, requests } = this.#parts;
    switch (message.kind) {
      case 'request': {
        const request = new OpenRequest(session, this.#stream, message.id, message.request);
        if (session.waiting.size < WAITING_MAX) requests.evaluate(request);
        else request.fail(new GfsError('EBUSY', `${WAITING_MAX} requests of this mount wait already`));
        break;
      }
      case 'cancel': {
        const request = session.waiting.get(message.id);
        if (request !== undefined) locks.cancel(request);
        break;
      }
      case 'release':
        for (const ino of message.inos) {
          desk.perform(desk.machine.release(session.id, ino));
          orphans.released(ino);
        }
        break;
    }
  }

  #isPresent({ state }: Session): boolean {
    return state.kind === 'connected' && state.stream === this.#stream;
  }

  #breakOff(message: string): void {
    this.#parts.logger.warn('A mount breaks the protocol; its stream ends', {
      peer: this.#stream.peer,
      reason: message,
    });
    this.#stream.send({ kind: 'refused', code: 'EINVAL', message });
    this.#stream.close();
    this.closed();
  }
}
