import type { Command, Executed } from '../namespace/index.js';
import type { OpenRequest } from './open-request.js';
import type { Session } from './session.js';
import type { Request } from './wire/index.js';

export type ExecuteRequest = Extract<Request, { op: 'execute' }>;

/**
 * A command that has been executed and is not answered: it waits until it is stored, and until all others have
 * forgotten what it changed.
 */
export class InFlightCommand {
  readonly session: Session;
  readonly executed: Executed;
  readonly command: Command;
  readonly number: number;
  readonly keepWrite: boolean;
  /** Whom to answer: another one, after the mount has come back and asked again. */
  request: OpenRequest<ExecuteRequest>;
  stored = false;
  settled = false;
  over = false;
  /** Among the unsettled changes. */
  hidden = false;
  /** Sessions that have not acknowledged its notice. */
  readonly owing = new Set<Session>();
  /** Requests that must not show the change as long as others may still be shown what was before. */
  #readers: OpenRequest[] = [];

  constructor(request: OpenRequest<ExecuteRequest>, executed: Executed) {
    const { command, number, keepWrite } = request.request;
    this.session = request.session;
    this.request = request;
    this.executed = executed;
    this.command = command;
    this.number = number;
    this.keepWrite = keepWrite;
  }

  /** Whether another session than the reader's may still be shown what was before the command. */
  hiddenFrom(reader: Session): boolean {
    return this.owing.size > (this.owing.has(reader) ? 1 : 0);
  }

  addReader(request: OpenRequest): void {
    this.#readers.push(request);
  }

  /** Requests that may go on now. */
  takeReaders(): OpenRequest[] {
    const ready = this.#readers.filter(({ session }) => !this.hiddenFrom(session));
    if (ready.length > 0) this.#readers = this.#readers.filter(({ session }) => this.hiddenFrom(session));
    return ready;
  }
}
