import { GfsError, toGfsError } from '../core/index.js';
import type { Command } from '../namespace/index.js';
import type { ClientStream, Request, Result, ServerMessage } from './wire/index.js';

/**
 * Requests that are not answered. The kernel sends 64 at a time by default (max_background), and one per
 * waiting process; more than this is a leak of ours.
 */
const PENDING_MAX = 65_536;

type Op = Request['op'];
export type RequestOf<O extends Op> = Extract<Request, { op: O }>;
export type ResultOf<O extends Op> = Extract<Result, { op: O }>;

/** What `take` of a request returns when the answer is void: it is asked for again. */
export const ASK_AGAIN: unique symbol = Symbol('ask again');

interface Pending {
  readonly request: Request;
  /** Called within the message's turn, so that what it learns is known before the next message. */
  readonly take: (result: Result, id: number) => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: GfsError) => void;
  /** Handed to a connection: whether the coordinator got it is not known until it answers. */
  sent: boolean;
  /** Given up by the caller; the coordinator was told, and has not answered. */
  cancelled?: GfsError;
  /** Of a command: called with whether its outcome is known. */
  readonly settled: ((known: boolean) => void)[];
}

/**
 * What was asked and is not answered: sent in the order of asking, and again, in that order, on every new
 * connection. Commands keep their numbers, by which the coordinator knows what it has done already.
 */
export class ClientRequests {
  readonly #pending = new Map<number, Pending>();
  /** Numbers of unanswered commands, ascending, and their requests' ids. */
  readonly #commands = new Map<number, number>();
  readonly #sentByOp: Record<string, number> = {};
  #stream: ClientStream | undefined;
  #nextId = 1;
  #nextNumber = 1;
  /** Why nothing is asked for now: no coordinator has answered for longer than anybody should wait. */
  #refusal: GfsError | undefined;

  /** Id of the next request. */
  get nextId(): number {
    return this.#nextId;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** How many requests of each kind were sent. */
  get sentByOp(): Readonly<Record<string, number>> {
    return this.#sentByOp;
  }

  /** The oldest request that is not answered, waits for locks aside: they grant no leases. */
  get oldest(): number | undefined {
    for (const [id, { request }] of this.#pending) if (request.op !== 'wait-lock') return id;
    return undefined;
  }

  /** Every command with a lower number is answered. */
  get answeredBelow(): number {
    return this.#commands.keys().next().value ?? this.#nextNumber;
  }

  nextNumber(): number {
    return this.#nextNumber++;
  }

  /**
   * Asks, waits for the connection if need be.
   * @param take turns the answer into the value; runs synchronously while the answer's message is handled
   */
  ask<O extends Op, T>(
    request: RequestOf<O>,
    take: (result: ResultOf<O>, id: number) => T | typeof ASK_AGAIN,
    started?: (id: number) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#refusal !== undefined) throw this.#refusal;
      if (this.#pending.size >= PENDING_MAX)
        throw new GfsError('UNAVAILABLE', 'too many unanswered requests');
      const id = this.#add({
        request,
        take: take as Pending['take'],
        resolve,
        reject,
        sent: false,
        settled: [],
      });
      started?.(id);
    });
  }

  /** A reply or an error of the coordinator. An id that is not pending was given up. */
  answered(message: Extract<ServerMessage, { kind: 'reply' | 'error' }>): void {
    const { id } = message;
    const pending = this.#take(id);
    if (pending === undefined) return;
    if (message.kind === 'error') {
      const { code, message: text, retryable } = message;
      this.#settle(pending, true);
      pending.reject(new GfsError(code, text, { retryable }));
      return;
    }
    if (message.result.op !== pending.request.op) {
      this.#fail(
        pending,
        new GfsError('EIO', `the coordinator answered ${message.result.op} to ${pending.request.op}`),
      );
      return;
    }
    let value: unknown;
    try {
      value = pending.take(message.result, id);
    } catch (thrown) {
      this.#fail(pending, new GfsError('EIO', 'an answer could not be understood', { cause: thrown }));
      return;
    }
    if (value === ASK_AGAIN) {
      this.#add(pending);
      return;
    }
    this.#settle(pending, true);
    pending.resolve(value as never);
  }

  /**
   * Sends everything that is not answered.
   * @param resumed false: the session is another one. What was sent to the old one may or may not be done
   */
  connected(stream: ClientStream, resumed: boolean): void {
    this.#stream = stream;
    this.#refusal = undefined;
    if (!resumed) this.#failLostCommands();
    for (const [id, pending] of this.#pending) this.#send(id, pending);
  }

  disconnected(): void {
    this.#stream = undefined;
    for (const [id, pending] of this.#pending) {
      if (pending.cancelled === undefined) continue;
      this.#take(id);
      this.#fail(pending, pending.cancelled);
    }
  }

  /** No coordinator answers: everything fails, also what is asked for until one does. */
  refuse(error: GfsError): void {
    this.#refusal = error;
    for (const id of [...this.#pending.keys()]) {
      const pending = this.#take(id);
      if (pending !== undefined) this.#fail(pending, error);
    }
  }

  /**
   * The caller does not wait any more. While connected the coordinator is asked to cancel, and its answer is the
   * outcome; else the request is forgotten.
   */
  cancel(id: number, error: GfsError): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    if (this.#stream === undefined) {
      this.#take(id);
      this.#fail(pending, error);
      return;
    }
    pending.cancelled = error;
    this.#stream.send({ kind: 'cancel', id });
  }

  /**
   * Resolves when all commands that were asked for before the call are answered.
   * @throws GfsError EIO when it is not known whether one of them was done
   */
  async commandsAnswered(): Promise<void> {
    const fates: Promise<boolean>[] = [];
    for (const id of this.#commands.values()) {
      const pending = this.#pending.get(id);
      if (pending !== undefined) fates.push(new Promise((resolve) => pending.settled.push(resolve)));
    }
    if ((await Promise.all(fates)).includes(false)) {
      throw new GfsError('EIO', 'the session ended before all commands were answered');
    }
  }

  /** Commands that were sent and are not answered, in order. */
  *sentCommands(): Iterable<Command> {
    for (const id of this.#commands.values()) {
      const pending = this.#pending.get(id);
      if (pending?.sent === true && pending.request.op === 'execute') yield pending.request.command;
    }
  }

  get commandsPending(): number {
    return this.#commands.size;
  }

  #add(pending: Pending): number {
    const id = this.#nextId++;
    this.#pending.set(id, pending);
    if (pending.request.op === 'execute') this.#commands.set(pending.request.number, id);
    pending.sent = false;
    this.#send(id, pending);
    return id;
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    if (pending.request.op === 'execute') this.#commands.delete(pending.request.number);
    return pending;
  }

  #send(id: number, pending: Pending): void {
    if (this.#stream === undefined) return;
    const { request } = pending;
    pending.sent = true;
    this.#sentByOp[request.op] = (this.#sentByOp[request.op] ?? 0) + 1;
    const current = request.op === 'execute' ? { ...request, answeredBelow: this.answeredBelow } : request;
    try {
      this.#stream.send({ kind: 'request', id, request: current });
    } catch (thrown) {
      this.#take(id);
      this.#fail(pending, toGfsError(thrown));
    }
  }

  #failLostCommands(): void {
    for (const id of [...this.#commands.values()]) {
      if (this.#pending.get(id)?.sent !== true) continue;
      const pending = this.#take(id);
      const error = new GfsError('EIO', 'the session ended; whether the change was made is not known');
      if (pending !== undefined) this.#fail(pending, error);
    }
  }

  #fail(pending: Pending, error: GfsError): void {
    this.#settle(pending, false);
    pending.reject(error);
  }

  #settle({ settled }: Pending, known: boolean): void {
    for (const done of settled) done(known);
  }
}
