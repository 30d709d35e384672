import { type Clock, type Logger, errorFields, toGfsError } from '../core/index.js';
import { type KvEntry, type KvStore, type KvWrite, endOfPrefix } from '../namespace/index.js';
import type { ClusterKeys } from './cluster-keys.js';
import type { Session } from './session.js';
import type { NodeHealth } from './wire/index.js';

/**
 * A session's health is stored at most this often. Mounts say it every 2 s (a fifth of the usual time to live),
 * some 1 KiB each: of 1,000 mounts 100 records, 100 KiB, are written per second instead of 500; an etcd that
 * syncs to a disk takes some thousand small transactions per second.
 */
export const HEALTH_STORE_MS = 10_000;

/** What is stored in `health/<site>/<member>/<session>`, as JSON. */
export interface StoredHealth extends NodeHealth {
  readonly session: string;
  /** Wall clock, ms since 1970: whoever finds the record later than this knows nothing of the member. */
  readonly untilMs: number;
}

export interface HealthRecordsOptions {
  readonly kv: KvStore;
  readonly keys: ClusterKeys;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long a session lives after a heartbeat. */
  readonly lifeMs: number;
}

/** By the monotonic clock. */
interface Heard {
  /** When it was stored last. */
  readonly storedMs: number;
  /** Unless the mount says it again before, it is forgotten. */
  readonly untilMs: number;
}

/**
 * What the mounts say of their machines, kept so that a new leader has something to show before they have said it
 * to it. Records have a time to live, of which the leader takes care: the store knows no such thing.
 */
export class HealthRecords {
  readonly #options: HealthRecordsOptions;
  /** Of sessions that have a record, or may have one. */
  readonly #heard = new Map<Session, Heard>();

  constructor(options: HealthRecordsOptions) {
    this.#options = options;
  }

  /** Takes over what an earlier leader has stored; what is of no session any more, or cannot be read, goes. */
  load(sessionOf: (id: string) => Session | undefined): void {
    const { kv, keys, clock, logger } = this.#options;
    const stale: KvWrite[] = [];
    for (const entry of kv.range({ start: keys.health, end: endOfPrefix(keys.health) })) {
      const { key } = entry;
      const session = sessionOf(key.slice(key.lastIndexOf('/') + 1));
      try {
        const health = decode(entry);
        if (session !== undefined && key === this.#keyOf(session)) {
          session.health = health;
          this.#heard.set(session, { storedMs: -Infinity, untilMs: clock.monotonicMs() + this.#ttlMs });
          continue;
        }
      } catch (thrown) {
        logger.warn('What a mount has said of its health cannot be read', {
          key,
          ...errorFields(toGfsError(thrown)),
        });
      }
      stale.push({ key, value: undefined });
    }
    this.#commit(stale);
  }

  /** A mount has said how it is. */
  note(session: Session, health: NodeHealth): void {
    session.health = health;
    const { kv, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const storedMs = this.#heard.get(session)?.storedMs ?? -Infinity;
    // A store that is short of space, or late, has better things to keep.
    const due = nowMs - storedMs >= HEALTH_STORE_MS && kv.hasRoom?.() !== false && !kv.congestion?.();
    this.#heard.set(session, { storedMs: due ? nowMs : storedMs, untilMs: nowMs + this.#ttlMs });
    if (!due) return;
    const stored: StoredHealth = {
      session: session.id,
      untilMs: Math.round(clock.wallMs() + this.#ttlMs),
      ...health,
    };
    this.#commit([{ key: this.#keyOf(session), value: Buffer.from(JSON.stringify(stored), 'utf8') }]);
  }

  /** What deletes the record of a session that ends, in the transaction of its end. May be asked for again. */
  deletionOf(session: Session): KvWrite[] {
    return this.#heard.has(session) ? [{ key: this.#keyOf(session), value: undefined }] : [];
  }

  /** That the session has ended is stored. */
  forget(session: Session): void {
    this.#heard.delete(session);
  }

  /** Deletes the records of sessions that live on and have not said for too long how they are. */
  sweep(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [session, { untilMs }] of this.#heard) {
      if (nowMs < untilMs || session.state.kind === 'ended') continue;
      this.#commit(this.deletionOf(session));
      this.#heard.delete(session);
      session.health = null;
    }
  }

  /** The heartbeat that comes just before a record may be written again is not stored, and the session outlives it. */
  get #ttlMs(): number {
    return HEALTH_STORE_MS + this.#options.lifeMs;
  }

  #keyOf({ id, facts }: Session): string {
    return this.#options.keys.healthOf(facts.site, facts.member, id);
  }

  /** Nobody waits for it: what is lost is said again. */
  #commit(writes: readonly KvWrite[]): void {
    if (writes.length === 0) return;
    const { kv, logger } = this.#options;
    kv.commit(writes).catch((thrown: unknown) => {
      logger.warn('The health of mounts could not be stored', errorFields(toGfsError(thrown)));
    });
  }
}

function decode({ value }: KvEntry): NodeHealth {
  const {
    session: _session,
    untilMs: _untilMs,
    ...health
  } = JSON.parse(Buffer.from(value).toString('utf8')) as StoredHealth;
  return health;
}
