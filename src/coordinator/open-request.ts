import type { GfsError, Ino } from '../core/index.js';
import type { InFlightCommand } from './in-flight-command.js';
import type { LiveAttributes } from './client.js';
import type { Session } from './session.js';
import type { Request, Result, ServerStream } from './wire/index.js';

/** What a file's writer said of it. */
export interface LiveAnswer {
  readonly writer: string;
  /** Undefined when the writer has nothing to add to the record. */
  readonly live: LiveAttributes | undefined;
}

/** An answer that is only kept until it may be shown: see Reader. */
export interface FrozenAnswer {
  readonly answer: Result | GfsError;
  readonly until: readonly InFlightCommand[];
}

/**
 * A request that is not answered. It waits for one thing at a time, which takes it up again; whoever does
 * evaluates it anew, from the start.
 */
export class OpenRequest<R extends Request = Request> {
  readonly session: Session;
  readonly id: number;
  readonly request: R;
  readonly #stream: ServerStream;
  /** Answered, or dropped: nobody waits for the answer any more. */
  over = false;
  /** How often it had to wait for others' changes. */
  delays = 0;
  /** The lease that it waited for is held at this very moment. */
  granted = false;
  /** A command that has been granted the inode to itself for as long as it runs. */
  excluding = false;
  /** By inode: what the writers have answered. */
  live: Map<Ino, LiveAnswer> | undefined;
  /** Writers that have not answered. */
  asked = 0;
  frozen: FrozenAnswer | undefined;
  /** Takes the request out of where it waits. */
  giveUp: (() => void) | undefined;

  constructor(session: Session, stream: ServerStream, id: number, request: R) {
    this.session = session;
    this.id = id;
    this.request = request;
    this.#stream = stream;
  }

  /** From now on it can be found by its id. */
  park(): void {
    if (!this.over) this.session.waiting.set(this.id, this);
  }

  reply(result: Result): void {
    if (this.#finish()) this.#stream.send({ kind: 'reply', id: this.id, result });
  }

  fail({ code, message, retryable }: GfsError): void {
    if (this.#finish()) this.#stream.send({ kind: 'error', id: this.id, code, message, retryable });
  }

  /** Without an answer. */
  drop(): void {
    this.over = true;
    this.giveUp?.();
    this.giveUp = undefined;
  }

  #finish(): boolean {
    if (this.over) return false;
    this.over = true;
    this.giveUp = undefined;
    if (this.session.waiting.get(this.id) === this) this.session.waiting.delete(this.id);
    return true;
  }
}
