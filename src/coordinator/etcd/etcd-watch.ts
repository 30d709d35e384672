import { type Clock, GfsError, type Logger, errorFields } from '../../core/index.js';
import type { EtcdClient } from './etcd-client.js';
import {
  type EtcdEvent,
  type EtcdKey,
  type EtcdWatchMessage,
  type EtcdWatchStream,
  type Revision,
  revisionOf,
} from './etcd-types.js';

export interface EtcdWatchOptions {
  readonly client: EtcdClient;
  readonly start: EtcdKey;
  readonly end: EtcdKey;
  /** The first revision whose events are delivered. */
  readonly fromRevision: Revision;
  readonly clock: Clock;
  readonly logger: Logger;
  /** All events of one or more whole revisions, in order, each exactly once. */
  readonly onEvents: (events: readonly EtcdEvent[], revision: Revision) => void;
  /** Events were lost to a compaction, and the watch has ended: what was built from it must be read anew. */
  readonly onCompacted: () => void;
  /** The watch is connected, or not. */
  readonly onConnection?: (connected: boolean) => void;
}

/** A sign of life is asked for this often ... */
const PING_MS = 1000;
/** ... and a stream that says nothing for so long is left: three pings, so one lost turn of a busy member is no reason. */
const SILENT_MS = 3 * PING_MS;
/** Between attempts to reach any member. The first comes at once. */
const RETRY_MS = 200;

/**
 * A watch that outlives its connections. It is resumed after the last revision that was delivered whole: not
 * after what the "created" message says, which names the member's revision and not what was delivered, so
 * that a second loss of the connection before the replay would lose events (as etcd3's own watcher does).
 */
export class EtcdWatch {
  readonly #options: EtcdWatchOptions;
  #next: Revision;
  #stream: EtcdWatchStream | undefined;
  #timer: NodeJS.Timeout | undefined;
  #heardMs = 0;
  /** Undefined before the first attempt has ended. */
  #connected: boolean | undefined;
  #failures = 0;
  #stopped = false;
  /** Events of a revision that has not come whole. */
  #fragments: EtcdEvent[] = [];

  constructor(options: EtcdWatchOptions) {
    this.#options = options;
    this.#next = options.fromRevision;
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#stream?.cancel();
    this.#stream = undefined;
  }

  #connect(): void {
    const { client, start, end, clock } = this.#options;
    this.#fragments = [];
    this.#heardMs = clock.monotonicMs();
    this.#stream = client.watch(
      { start, end, fromRevision: this.#next },
      {
        message: (message) => this.#receive(message),
        closed: (error) => this.#disconnected(error),
      },
    );
    this.#timer = setTimeout(() => this.#tick(), PING_MS);
  }

  #tick(): void {
    const silentMs = this.#options.clock.monotonicMs() - this.#heardMs;
    if (silentMs > SILENT_MS) {
      this.#stream?.leave();
      this.#disconnected(new GfsError('TIMEOUT', `etcd was silent for ${Math.round(silentMs)} ms`));
      return;
    }
    this.#stream?.ping();
    this.#timer = setTimeout(() => this.#tick(), PING_MS);
  }

  #receive(message: EtcdWatchMessage): void {
    if (this.#stopped) return;
    this.#heardMs = this.#options.clock.monotonicMs();
    switch (message.kind) {
      case 'created':
        this.#failures = 0;
        this.#setConnected(true);
        break;
      case 'alive':
        break;
      case 'progress':
        if (message.revision >= this.#next) this.#next = message.revision + 1n;
        break;
      case 'events':
        this.#deliver(message.events, message.complete);
        break;
      case 'compacted':
        this.stop();
        this.#options.onCompacted();
        break;
    }
  }

  #deliver(events: readonly EtcdEvent[], complete: boolean): void {
    // etcd may deliver again what it delivered to an earlier stream.
    this.#fragments.push(...events.filter((event) => revisionOf(event) >= this.#next));
    const last = this.#fragments.at(-1);
    if (!complete || last === undefined) return;
    const whole = this.#fragments;
    this.#fragments = [];
    const revision = revisionOf(last);
    this.#next = revision + 1n;
    this.#options.onEvents(whole, revision);
  }

  #disconnected(error: Error): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#stream = undefined;
    this.#setConnected(false);
    this.#options.logger.debug('a watch of etcd is resumed', {
      fromRevision: String(this.#next),
      ...errorFields(error),
    });
    this.#timer = setTimeout(() => this.#connect(), this.#failures++ === 0 ? 0 : RETRY_MS);
  }

  #setConnected(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    this.#options.onConnection?.(connected);
  }
}
