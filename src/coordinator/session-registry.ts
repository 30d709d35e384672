import { type Clock, GfsError, type Logger, errorFields } from '../core/index.js';
import { type KvStore, type KvWrite, endOfPrefix } from '../namespace/index.js';
import { AppliedCommands } from './applied-commands.js';
import type { ClusterKeys } from './cluster-keys.js';
import { HealthRecords } from './health-records.js';
import { Session, type SessionFacts, type SessionState } from './session.js';
import type { StoreWaits } from './store-waits.js';
import type { NodeHealth, ServerStream, SessionRef } from './wire/index.js';

/**
 * Sessions end this much after their time to live, and mounts stop relying on their leases a tenth before it
 * (LeaseDeadline of the client): so clocks may run apart by 20 % within one time to live.
 */
const EXPIRY_FACTOR = 1.1;

export interface SessionRegistryOptions {
  readonly kv: KvStore;
  readonly keys: ClusterKeys;
  readonly waits: StoreWaits;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly ttlMs: number;
  /** That a session has ended is stored: what it held is free. */
  readonly ended: (session: Session) => void;
}

/**
 * The mounts' sessions. Each is kept in `sessions/<id>` from before its mount is welcomed until after nothing of
 * it is in use, so that a new leader knows for whom it has to wait.
 */
export class SessionRegistry {
  readonly #options: SessionRegistryOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #health: HealthRecords;
  /** Ended, and that could not be stored: tried again. */
  readonly #ending = new Set<Session>();
  #nextId: number;
  #sweptAtMs: number;

  /** Takes over the sessions that an earlier leader has left. @throws GfsError CORRUPT */
  constructor(options: SessionRegistryOptions) {
    this.#options = options;
    const { kv, keys, clock, logger } = options;
    const nowMs = clock.monotonicMs();
    this.#sweptAtMs = nowMs;
    this.#nextId = decodeNumber(kv.get(keys.nextSession));
    for (const { key, value } of kv.range({ start: keys.sessions, end: endOfPrefix(keys.sessions) })) {
      const { epoch, ...facts } = decodeSession(key, value);
      const id = key.slice(keys.sessions.length);
      const session = this.#make({ id, epoch }, facts, { kind: 'disconnected', sinceMs: nowMs });
      session.applied.load(kv);
    }
    this.#health = new HealthRecords({ kv, keys, clock, logger, lifeMs: this.#lifeMs });
    this.#health.load((id) => this.#sessions.get(id));
  }

  get size(): number {
    return this.#sessions.size;
  }

  all(): readonly Session[] {
    return [...this.#sessions.values()];
  }

  get(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  /** @param opened called when the session is stored, or with what the store could not do */
  open(
    epoch: number,
    facts: SessionFacts,
    stream: ServerStream,
    opened: (session: Session, undone: GfsError | undefined) => void,
  ): void {
    const { kv, keys, waits, clock } = this.#options;
    const id = String(this.#nextId++);
    const sinceMs = clock.monotonicMs();
    const session = this.#make({ id, epoch }, facts, { kind: 'connected', stream, sinceMs });
    const committed = kv.commit([
      { key: keys.nextSession, value: Buffer.from(String(this.#nextId), 'latin1') },
      { key: keys.session(id), value: Buffer.from(JSON.stringify({ epoch, ...facts }), 'utf8') },
    ]);
    waits.add(committed, (undone) => {
      if (undone !== undefined) this.#sessions.delete(id);
      opened(session, undone);
    });
  }

  /** A session that may go on; undefined when it has ended, or was of another term. */
  live({ id, epoch }: SessionRef): Session | undefined {
    const session = this.#sessions.get(id);
    return session?.epoch === epoch && session.state.kind !== 'ended' ? session : undefined;
  }

  connected(session: Session, stream: ServerStream): void {
    const nowMs = this.#options.clock.monotonicMs();
    session.state = { kind: 'connected', stream, sinceMs: nowMs };
    session.expiresAtMs = nowMs + this.#lifeMs;
  }

  /** Its stream is gone; another one may be there already. */
  disconnected(session: Session, stream: ServerStream): void {
    if (session.state.kind !== 'connected' || session.state.stream !== stream) return;
    session.state = { kind: 'disconnected', sinceMs: this.#options.clock.monotonicMs() };
    session.dropRequests();
  }

  heartbeat(session: Session, health: NodeHealth | undefined): void {
    session.expiresAtMs = this.#options.clock.monotonicMs() + this.#lifeMs;
    if (health !== undefined) this.#health.note(session, health);
  }

  /** Nothing is taken from the session any more. What it holds becomes free when that is stored. */
  end(session: Session, reason: string): void {
    const { state } = session;
    if (state.kind === 'ended') return;
    session.state = { kind: 'ended', reason };
    session.dropRequests();
    if (state.kind === 'connected') state.stream.close();
    this.#options.logger.info('A session ends', { session: session.id, ...session.facts, reason });
    this.#storeEnd(session);
  }

  /** Ends the sessions that have been silent for too long. To be called several times per time to live. */
  sweep(): void {
    const { clock, ttlMs } = this.#options;
    const nowMs = clock.monotonicMs();
    const sinceMs = nowMs - this.#sweptAtMs;
    this.#sweptAtMs = nowMs;
    for (const session of this.#ending) this.#storeEnd(session);
    if (sinceMs > ttlMs / 2) {
      // This process has been stopped: the heartbeats of that time are still to be read.
      for (const session of this.#sessions.values()) session.expiresAtMs += sinceMs;
      return;
    }
    for (const session of this.#sessions.values()) {
      if (session.expiresAtMs <= nowMs) this.end(session, 'no heartbeat in time');
    }
    this.#health.sweep();
  }

  get #lifeMs(): number {
    return this.#options.ttlMs * EXPIRY_FACTOR;
  }

  #make(ref: SessionRef, facts: SessionFacts, state: SessionState): Session {
    const { keys, clock } = this.#options;
    const applied = new AppliedCommands(ref.id, keys);
    const expiresAtMs = clock.monotonicMs() + this.#lifeMs;
    const session = new Session(ref, facts, applied, { state, expiresAtMs });
    this.#sessions.set(ref.id, session);
    return session;
  }

  #storeEnd(session: Session): void {
    const { kv, keys, waits, logger, ended } = this.#options;
    this.#ending.delete(session);
    const prefix = keys.appliedOf(session.id);
    const applied = kv.range({ start: prefix, end: endOfPrefix(prefix) });
    const deletions: KvWrite[] = applied.map(({ key }) => ({ key, value: undefined }));
    const committed = kv.commit([
      { key: keys.session(session.id), value: undefined },
      ...this.#health.deletionOf(session),
      ...deletions,
    ]);
    waits.add(committed, (undone) => {
      if (undone === undefined) {
        this.#sessions.delete(session.id);
        this.#health.forget(session);
        ended(session);
        return;
      }
      logger.error('The end of a session cannot be stored yet', {
        session: session.id,
        ...errorFields(undone),
      });
      this.#ending.add(session);
    });
  }
}

function decodeNumber(bytes: Uint8Array | undefined): number {
  if (bytes === undefined) return 1;
  const number = Number(Buffer.from(bytes).toString('latin1'));
  if (!Number.isSafeInteger(number) || number < 1) {
    throw new GfsError('CORRUPT', "the store's session counter cannot be decoded");
  }
  return number;
}

function decodeSession(key: string, value: Uint8Array): SessionFacts & { epoch: number } {
  try {
    return JSON.parse(Buffer.from(value).toString('utf8')) as SessionFacts & { epoch: number };
  } catch (cause) {
    throw new GfsError('CORRUPT', `the store's ${key} is not JSON`, { cause });
  }
}
