import { GfsError, type Logger, assertNever, errorFields, toGfsError } from '../core/index.js';
import { type Namespace, isRegular } from '../namespace/index.js';
import type { CommandExecutor } from './command-executor.js';
import type { LeaseDesk } from './lease-desk.js';
import type { LockRequests } from './lock-requests.js';
import type { OpenRequest } from './open-request.js';
import type { Reader } from './reader.js';
import type { Request } from './wire/index.js';

export interface RequestHandlersOptions {
  readonly namespace: Namespace;
  readonly desk: LeaseDesk;
  readonly reader: Reader;
  readonly executor: CommandExecutor;
  readonly locks: LockRequests;
  readonly logger: Logger;
}

type OpenOf<Op extends Request['op']> = OpenRequest<Extract<Request, { op: Op }>>;

/** Evaluates a request: it is answered, or waits for something that has it evaluated anew. Never throws. */
export class RequestHandlers {
  readonly #options: RequestHandlersOptions;

  constructor(options: RequestHandlersOptions) {
    this.#options = options;
  }

  evaluate(request: OpenRequest): void {
    if (request.over) return;
    request.giveUp = undefined;
    try {
      this.#dispatch(request);
    } catch (thrown) {
      const error = toGfsError(thrown);
      if (error.code === 'INTERNAL' || error.code === 'CORRUPT') {
        const { op } = request.request;
        this.#options.logger.error('A request has failed', { op, ...errorFields(thrown) });
      }
      request.fail(error);
    }
  }

  #dispatch(request: OpenRequest): void {
    const { namespace, reader, executor, locks } = this.#options;
    const ask = request.request;
    switch (ask.op) {
      case 'lookup':
      case 'inode':
      case 'read-directory':
      case 'xattrs':
        reader.evaluate(request as OpenOf<typeof ask.op>);
        break;
      case 'execute':
        executor.evaluate(request as OpenOf<'execute'>);
        break;
      case 'acquire':
        this.#acquire(request as OpenOf<'acquire'>);
        break;
      case 'reserve-inos':
        request.reply({ op: 'reserve-inos', ...namespace.reserveInos(ask.count) });
        break;
      case 'statistics':
        request.reply({ op: 'statistics', inodes: namespace.stats().inodes });
        break;
      case 'path-of':
        void this.#later(request, async () => {
          const path = await namespace.pathOf(ask.ino);
          request.reply(path === undefined ? { op: 'path-of' } : { op: 'path-of', path });
        });
        break;
      case 'flush':
        void this.#later(request, async () => {
          await namespace.flush();
          request.reply({ op: 'flush' });
        });
        break;
      case 'lock-conflict':
      case 'try-lock':
      case 'wait-lock':
        locks.evaluate(request as OpenOf<typeof ask.op>);
        break;
      default:
        assertNever(ask);
    }
  }

  /**
   * The record is of the moment at which the lease is held, and nothing is left to wait for. What was granted and
   * then recalled meanwhile is asked for again.
   * @throws GfsError ESTALE; EINVAL for a write lease on what is no regular file
   */
  #acquire(request: OpenOf<'acquire'>): void {
    const { namespace, desk, reader } = this.#options;
    const { session, request: ask } = request;
    const { ino, mode } = ask;
    const record = namespace.inode(ino);
    if (record === undefined) throw new GfsError('ESTALE', 'the inode is no more', { context: { ino } });
    if (mode === 'write' && !isRegular(record)) {
      throw new GfsError('EINVAL', 'only regular files are written', { context: { ino } });
    }
    if (mode === 'known') {
      if (!reader.waits(request, [ino]))
        request.reply({ op: 'acquire', inode: reader.sent(request, record) });
      return;
    }
    if (!this.#holds(request, mode)) {
      request.park();
      request.giveUp = () => desk.perform(desk.machine.cancel(request));
      desk.perform(desk.machine.acquire(session.id, ino, mode, request));
    } else if (!reader.waits(request, [ino])) {
      request.reply({ op: 'acquire', inode: { record, leased: true, volatile: false } });
    }
  }

  /** What was just granted may be wanted by the next already: that one's recall follows the answer. */
  #holds(request: OpenOf<'acquire'>, mode: 'read' | 'write'): boolean {
    const { machine } = this.#options.desk;
    const { id } = request.session;
    const { ino } = request.request;
    if (!request.granted) return machine.grant(id, ino, mode);
    request.granted = false;
    const held = machine.mode(id, ino);
    return held === 'write' || held === mode;
  }

  async #later(request: OpenRequest, work: () => Promise<void>): Promise<void> {
    request.park();
    try {
      await work();
    } catch (thrown) {
      request.fail(toGfsError(thrown));
    }
  }
}
