import type { Ino, Logger } from '../core/index.js';
import { type LeaseChanges, type LeaseEffect, LeaseMachine } from '../leases/index.js';
import type { LiveAttributes } from './client.js';
import { InFlightCommand } from './in-flight-command.js';
import { OpenRequest } from './open-request.js';
import type { Session } from './session.js';
import type { Claim } from './wire/index.js';

type Token = OpenRequest | InFlightCommand;
type Effect = LeaseEffect<Token>;

export interface LeaseDeskOptions {
  readonly session: (id: string) => Session | undefined;
  /** A request can be evaluated anew. */
  readonly resume: (request: OpenRequest) => void;
  /** Nobody is shown any more what was before a command. */
  readonly settled: (command: InFlightCommand) => void;
  readonly claimRefused: (session: Session) => void;
  readonly logger: Logger;
}

/** Carries out what the lease machine decides: sends recalls, notices and questions, and takes the answers. */
export class LeaseDesk {
  readonly machine = new LeaseMachine<Token>();
  readonly #options: LeaseDeskOptions;
  /** What one effect leads to is done after the effects that were decided before it. */
  #effects: Effect[] = [];
  #performing = false;

  constructor(options: LeaseDeskOptions) {
    this.#options = options;
  }

  perform(effects: readonly Effect[]): void {
    this.#effects.push(...effects);
    if (this.#performing) return;
    this.#performing = true;
    try {
      while (this.#effects.length > 0) {
        const turn = this.#effects;
        this.#effects = [];
        for (const effect of turn) this.#performOne(effect);
      }
    } finally {
      this.#performing = false;
    }
  }

  /** Tells everybody but the author what a command has changed. */
  announce(command: InFlightCommand, changes: LeaseChanges): void {
    const effects = this.machine.invalidate(command.session.id, changes, command);
    for (const effect of effects) {
      if (effect.kind !== 'notify') continue;
      const session = this.#options.session(effect.session);
      if (session === undefined) continue;
      session.owed.set(effect.notice, command);
      command.owing.add(session);
    }
    this.perform(effects);
  }

  /** Asks a file's writer for size and times of now; the request is taken up when it has answered. */
  ask(writer: Session, ino: Ino, request: OpenRequest): void {
    const id = this.machine.newId();
    request.asked++;
    writer.queries.set(id, { ino, request });
    writer.send({ kind: 'query', id, ino });
  }

  acknowledge(session: Session, id: number, live: LiveAttributes | undefined): void {
    const query = session.queries.get(id);
    if (query !== undefined) {
      session.queries.delete(id);
      const { request, ino } = query;
      request.live ??= new Map();
      request.live.set(ino, { writer: session.id, live });
      this.#answered(request);
      return;
    }
    const command = session.owed.get(id);
    if (command !== undefined) {
      session.owed.delete(id);
      this.#forgave(session, command);
    }
    this.perform(this.machine.acknowledge(session.id, id));
  }

  /**
   * The session goes on with a new stream, and holds what it claims.
   * @param unanswered inodes of commands that are done without the mount's knowing: it may claim what it has
   *   given up with one of them (a commit), and others may have it by now
   */
  reset(session: Session, claims: readonly Claim[], unanswered: ReadonlySet<Ino>): void {
    const effects = this.machine
      .resetSession(session.id, claims)
      .filter((effect) => effect.kind !== 'claim-refused' || !unanswered.has(effect.ino));
    this.#forgetPending(session);
    this.perform(effects);
  }

  end(session: Session): void {
    const effects = this.machine.endSession(session.id);
    this.#forgetPending(session);
    this.perform(effects);
  }

  #forgetPending(session: Session): void {
    const queries = [...session.queries.values()];
    const owed = [...session.owed.values()];
    session.queries.clear();
    session.owed.clear();
    for (const command of owed) this.#forgave(session, command);
    for (const { request } of queries) this.#answered(request);
  }

  #answered(request: OpenRequest): void {
    request.asked--;
    if (request.asked === 0) this.#options.resume(request);
  }

  #forgave(session: Session, command: InFlightCommand): void {
    command.owing.delete(session);
    for (const reader of command.takeReaders()) this.#options.resume(reader);
  }

  #performOne(effect: Effect): void {
    switch (effect.kind) {
      case 'recall': {
        const { session, recall, ino, to } = effect;
        this.#options.session(session)?.send({ kind: 'recall', id: recall, ino, to });
        break;
      }
      case 'notify': {
        const { session, notice, notices } = effect;
        this.#options.session(session)?.send({ kind: 'notice', id: notice, notices });
        break;
      }
      case 'granted':
        if (!(effect.token instanceof OpenRequest)) break;
        effect.token.granted = true;
        this.#options.resume(effect.token);
        break;
      case 'settled':
        if (effect.token instanceof InFlightCommand) this.#options.settled(effect.token);
        break;
      case 'claim-refused': {
        const { session: id, ino } = effect;
        this.#options.logger.warn('A mount claims a file that another one writes; its session ends', {
          session: id,
          ino,
        });
        const session = this.#options.session(id);
        if (session !== undefined) this.#options.claimRefused(session);
        break;
      }
    }
  }
}
