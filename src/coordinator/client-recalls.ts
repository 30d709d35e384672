import { errorFields, type Ino, type Logger } from '../core/index.js';
import type { LeaseHost } from './client.js';
import { type LeaseCache, LeaseLevel } from './client-cache.js';
import type { ClientStream, ServerMessage } from './wire/index.js';

type Message<K extends ServerMessage['kind']> = Extract<ServerMessage, { kind: K }>;

/** Whom an acknowledgement goes to: the connection that brought the message. On one that has ended it gets lost, as it must. */
type Sender = Pick<ClientStream, 'send'>;

export interface RecallOptions {
  readonly cache: LeaseCache;
  readonly host: () => LeaseHost;
  readonly logger: Logger;
  /** A lease was granted in this turn of the event loop: who asked for it has not run yet. */
  readonly justGranted: (ino: Ino) => boolean;
  /** A commit is under way that ends a write lease: the coordinator may not have come to it. */
  readonly committing: (ino: Ino) => boolean;
  /** Id of the next request. */
  readonly nextRequest: () => number;
  /** Tells the coordinator that nothing is left of these. */
  readonly release: (inos: readonly Ino[]) => void;
}

/**
 * What the coordinator asks of a holder, for others: forget, let go, say how far a file is written. What is
 * kept is dropped within the message's turn; the acknowledgement follows when the host is done, each for itself.
 */
export class ClientRecalls {
  readonly #options: RecallOptions;
  /** Inodes that are being let go of: resolves when that is acknowledged. Never rejects. */
  readonly #active = new Map<Ino, Promise<void>>();

  constructor(options: RecallOptions) {
    this.#options = options;
  }

  /** While a lease is being let go of: until when. */
  lettingGo(ino: Ino): Promise<void> | undefined {
    return this.#active.get(ino);
  }

  get active(): number {
    return this.#active.size;
  }

  notice({ id, notices }: Message<'notice'>, sender: Sender): void {
    const { cache } = this.#options;
    const host = this.#options.host();
    for (const notice of notices) {
      if (notice.kind === 'entry') cache.forgetEntry(notice.parent, notice.name);
      else cache.forgetRecord(notice.ino);
    }
    const waits: Promise<void>[] = [];
    const orphans: Ino[] = [];
    for (const notice of notices) {
      const wait =
        notice.kind === 'entry' ? host.forgetEntry(notice.parent, notice.name) : host.forgetInode(notice.ino);
      if (wait !== undefined) waits.push(this.#told(wait, 'the kernel could not be told of a change'));
      if (notice.kind === 'inode' && notice.orphaned) orphans.push(notice.ino);
    }
    const done = (): void => {
      sender.send({ kind: 'ack', id });
      const unused = orphans.filter((ino) => !host.inUse(ino));
      if (unused.length > 0) this.#options.release(unused);
    };
    if (waits.length === 0) done();
    else void Promise.all(waits).then(done);
  }

  query({ id, ino }: Message<'query'>, sender: Sender): void {
    const live = this.#options.host().liveAttributes(ino);
    sender.send(live === undefined ? { kind: 'ack', id } : { kind: 'ack', id, live });
  }

  /**
   * Whoever was granted the lease by the same frame uses it first: else two mounts that want the same file could
   * pass it to and fro for ever, and neither would get to it.
   */
  recall(message: Message<'recall'>, sender: Sender): void {
    if (this.#options.justGranted(message.ino)) setImmediate(() => this.#recall(message, sender));
    else this.#recall(message, sender);
  }

  #recall({ id, ino, to }: Message<'recall'>, sender: Sender): void {
    const before = this.#active.get(ino);
    const letGo = before === undefined ? this.#letGo(ino, to) : before.then(() => this.#letGo(ino, to));
    const done = (): void => {
      const { cache, nextRequest } = this.#options;
      cache.caps.lower(ino, LeaseLevel[to], nextRequest());
      sender.send({ kind: 'ack', id });
    };
    if (letGo === undefined) {
      done();
      return;
    }
    const run = letGo.then(() => {
      if (this.#active.get(ino) === run) this.#active.delete(ino);
      done();
    });
    this.#active.set(ino, run);
  }

  /** @returns undefined when that took no time */
  #letGo(ino: Ino, to: 'known' | 'read'): Promise<void> | undefined {
    const { cache, committing } = this.#options;
    if (cache.level(ino) !== LeaseLevel.write && !committing(ino)) return this.#lower(ino, to);
    cache.part(ino);
    const committed = this.#told(
      this.#options.host().yieldWrite(ino),
      'a file that others need was not stored',
    );
    return committed.then(() => this.#lower(ino, to));
  }

  #lower(ino: Ino, to: 'known' | 'read'): Promise<void> | undefined {
    const { cache } = this.#options;
    const level = cache.level(ino);
    cache.lower(ino, to);
    if (to === 'read' || level < LeaseLevel.read) return undefined;
    // What comes before the acknowledgement is sent was granted before the coordinator knew: not to be kept.
    cache.caps.lower(ino, LeaseLevel.known, Infinity);
    const yielded = this.#options.host().yieldRead(ino);
    return yielded === undefined ? undefined : this.#told(yielded, 'cached content could not be given up');
  }

  /** What the host could not do is logged; the others are not kept waiting for it for ever. */
  async #told(done: Promise<void>, message: string): Promise<void> {
    try {
      await done;
    } catch (thrown) {
      this.#options.logger.error(message, errorFields(thrown));
    }
  }
}
