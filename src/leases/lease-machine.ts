import { invariant, type Ino } from '../core/index.js';
import { HolderTable, LEVEL, MODES } from './holder-table.js';
import type {
  LeaseChanges,
  LeaseContention,
  LeaseCounts,
  LeaseEffect,
  LeaseHolder,
  LeaseNotice,
  SessionId,
} from './lease-effects.js';
import type { LeaseMode } from './lease-mode.js';
import { LeaseQueue, type LeaseWaiter } from './lease-queue.js';
import { NoticeBoard } from './notice-board.js';

/**
 * Who holds which lease, who waits for one, who was asked to let go of one, and who was told of a change: the
 * coordinator's side of the leases as a machine without I/O and without a clock. Every call returns what has
 * to be done about it, in order. That a session has been silent for too long is for the caller to notice.
 *
 * While one session holds `write` on an inode, all others hold `known` at most. Sessions must be opened; what
 * is asked for one that is not open changes nothing and is never granted.
 *
 * @typeParam Token what the caller recognises a waiting request by; compared by identity, used once at a time
 */
export class LeaseMachine<Token> {
  readonly #table = new HolderTable();
  readonly #queues = new Map<Ino, LeaseQueue<Token>>();
  /** Inodes of waiting requests, and of unacknowledged recalls. */
  readonly #waiting = new Map<Token, Ino>();
  readonly #recalled = new Map<number, Ino>();
  readonly #notices = new NoticeBoard<Token>();
  /** Inodes that a command has for itself: whose it is, and what that session had before. */
  readonly #excluded = new Map<Ino, { readonly session: SessionId; readonly before: number }>();
  #lastId = 0;

  /** An id that no recall or notice has: for other things that a session acknowledges. */
  newId(): number {
    return ++this.#lastId;
  }

  /** A session that holds nothing yet. */
  openSession(session: SessionId): void {
    invariant(!this.#table.isSeated(session), 'a session is opened twice', { session });
    this.#table.seat(session);
  }

  isOpen(session: SessionId): boolean {
    return this.#table.isSeated(session);
  }

  /** What the session may do with the inode; `write` and `read` also while they are being recalled. */
  mode(session: SessionId, ino: Ino): LeaseMode | undefined {
    return MODES[this.#table.level(session, ino)];
  }

  /** The session that holds `write`, being recalled or not. */
  writerOf(ino: Ino): SessionId | undefined {
    let writer: SessionId | undefined;
    this.#table.forEach(ino, (session, level) => {
      if (level === LEVEL.write) writer = session;
    });
    return writer;
  }

  holders(ino: Ino): LeaseHolder[] {
    const recalls = this.#queues.get(ino)?.recalls;
    const holders: LeaseHolder[] = [];
    this.#table.forEach(ino, (session, level) => {
      const recall = recalls?.get(session);
      const holder = { session, mode: MODES[level] as LeaseMode };
      holders.push(recall === undefined ? holder : { ...holder, recalledTo: recall.to });
    });
    return holders;
  }

  /** Who waits for an inode, in order. */
  waiters(ino: Ino): { readonly session: SessionId; readonly mode: LeaseMode }[] {
    const waiters = this.#queues.get(ino)?.waiters ?? [];
    return waiters.map(({ session, wanted }) => ({ session, mode: wanted }));
  }

  /** Whether any session has the inode open, or in its kernel: an orphan is to be kept. */
  isKnown(ino: Ino): boolean {
    let known = false;
    this.#table.forEach(ino, () => (known = true));
    return known;
  }

  /**
   * `granted` is among the effects at once when nothing is in the way, or when the session has the mode already
   * and keeps it; else once those in the way have let go, in the order in which it was asked. The session's
   * mode never sinks by it.
   */
  acquire(session: SessionId, ino: Ino, mode: LeaseMode, token: Token): LeaseEffect<Token>[] {
    if (mode !== 'known') return this.#ask(ino, { session, wanted: mode, token, excludes: false });
    this.noteKnown(session, ino);
    return this.#table.isSeated(session) ? [{ kind: 'granted', token }] : [];
  }

  /**
   * For a command that may only run while no other session reads or writes the inode. A session that has
   * `write` is granted it at once, even while it is recalled: its commit is what the others wait for. Any other
   * session has `write` when it is granted: the caller runs the command in the same turn, and then calls `lower`
   * with what the session may keep, also when the command fails. Nobody else is granted anything before that.
   * What the session had by the time it was granted, it keeps: it may have acquired `write` while it waited.
   */
  exclude(session: SessionId, ino: Ino, token: Token): LeaseEffect<Token>[] {
    if (this.#table.level(session, ino) === LEVEL.write) return [{ kind: 'granted', token }];
    return this.#ask(ino, { session, wanted: 'write', token, excludes: true });
  }

  /** A waiting request is given up. Recalls that were sent for it stay. */
  cancel(token: Token): LeaseEffect<Token>[] {
    const ino = this.#waiting.get(token);
    if (ino === undefined) return [];
    this.#waiting.delete(token);
    const queue = this.#queue(ino);
    queue.waiters = queue.waiters.filter((waiter) => waiter.token !== token);
    return this.#advance(ino);
  }

  /**
   * Grants without waiting: what is read along with a reply, and `write` on an inode that is being born.
   * @returns false, and nothing has changed, when another session is in the way, or waits for a mode that would
   *   then be in the way, or when this session is asked to let go of it
   */
  grant(session: SessionId, ino: Ino, mode: 'read' | 'write'): boolean {
    if (!this.#table.isSeated(session)) return false;
    const wanted = LEVEL[mode];
    const own = this.#table.level(session, ino);
    const queue = this.#queues.get(ino);
    const recall = queue?.recalls.get(session);
    if (recall !== undefined) return Math.min(own, LEVEL[recall.to]) >= wanted;
    if (own >= wanted) return true;
    if (queue?.awaitsWriteOfOther(session) === true || this.#conflicts(session, ino, mode).length > 0)
      return false;
    // A writer must not be made while readers wait either.
    if (mode === 'write' && queue !== undefined && queue.waiters.length > 0) return false;
    this.#table.setLevel(session, ino, wanted);
    return true;
  }

  noteKnown(session: SessionId, ino: Ino): void {
    if (this.#table.isSeated(session) && this.#table.level(session, ino) === LEVEL.none)
      this.#table.setLevel(session, ino, LEVEL.known);
  }

  /**
   * Tells all sessions but the author what they must forget: an entry those that read its directory, an inode
   * those that read or write it, an orphaned one also those that know it. `settled` follows when all
   * have acknowledged; it is among the effects when nobody has to be told.
   */
  invalidate(author: SessionId | undefined, changes: LeaseChanges, token: Token): LeaseEffect<Token>[] {
    const told = new Map<SessionId, LeaseNotice[]>();
    const tell = (ino: Ino, least: number, notice: LeaseNotice): void => {
      this.#table.forEach(ino, (session, level) => {
        if (session === author || level < least) return;
        const notices = told.get(session);
        if (notices === undefined) told.set(session, [notice]);
        else notices.push(notice);
      });
    };
    for (const [parent, name] of changes.entries) tell(parent, LEVEL.read, { kind: 'entry', parent, name });
    for (const { ino, orphaned } of changes.inodes)
      tell(ino, orphaned ? LEVEL.known : LEVEL.read, { kind: 'inode', ino, orphaned });
    if (told.size === 0) return [{ kind: 'settled', token }];
    const posted = [...told].map(([session, notices]) => ({ session, id: this.newId(), notices }));
    this.#notices.post(token, posted);
    return posted.map(({ session, id, notices }) => ({ kind: 'notify', session, notice: id, notices }));
  }

  /** A session has done what a recall or a notice asked. An id that is not pending changes nothing. */
  acknowledge(session: SessionId, id: number): LeaseEffect<Token>[] {
    const ino = this.#recalled.get(id);
    if (ino === undefined)
      return this.#notices.acknowledge(session, id).map((token) => ({ kind: 'settled', token }));
    const { recalls } = this.#queue(ino);
    const recall = recalls.get(session);
    if (recall?.id !== id) return []; // another session's
    recalls.delete(session);
    this.#recalled.delete(id);
    this.#sink(session, ino, LEVEL[recall.to]);
    return this.#advance(ino);
  }

  /**
   * The session keeps `mode` at most; after an exclusion, what it had before, if that is more. A recall under
   * way stays so until it is acknowledged.
   */
  lower(session: SessionId, ino: Ino, mode: LeaseMode): LeaseEffect<Token>[] {
    const excluded = this.#excluded.get(ino);
    const ends = excluded?.session === session;
    if (ends) this.#excluded.delete(ino);
    this.#sink(session, ino, ends ? Math.max(excluded.before, LEVEL[mode]) : LEVEL[mode]);
    return this.#advance(ino);
  }

  /** The session keeps nothing of the inode, and need not acknowledge a recall of it. */
  release(session: SessionId, ino: Ino): LeaseEffect<Token>[] {
    this.#sink(session, ino, LEVEL.none);
    this.#forgetRecall(session, ino);
    return this.#advance(ino);
  }

  /** The session is no more: nothing is its, nothing is waited for from it, and nothing it asked for waits. */
  endSession(session: SessionId): LeaseEffect<Token>[] {
    const inos = this.#leave(session);
    this.#table.unseat(session);
    return this.#settleAfter(session, inos);
  }

  /**
   * The session's stream was cut, and it goes on with a new one; or it comes back to a new leader, and is opened.
   * It holds exactly what it claims; what it waited for it asks again. Its pending notices count as acknowledged, since it has dropped all it kept. Recalls of
   * what it claims are sent again, with new ids.
   */
  resetSession(
    session: SessionId,
    claims: readonly { readonly ino: Ino; readonly mode: 'known' | 'write' }[],
  ): LeaseEffect<Token>[] {
    const inos = this.#leave(session);
    this.#table.seat(session);
    const refused: LeaseEffect<Token>[] = [];
    for (const { ino, mode } of claims) {
      const granted = mode === 'known' || this.#conflicts(session, ino, 'write').length === 0;
      if (!granted) refused.push({ kind: 'claim-refused', session, ino });
      const level = granted ? LEVEL[mode] : LEVEL.known;
      this.#table.setLevel(session, ino, Math.max(level, this.#table.level(session, ino)));
    }
    return [...refused, ...this.#settleAfter(session, inos)];
  }

  counts(): LeaseCounts & { readonly waiting: number; readonly recalls: number; readonly notices: number } {
    return {
      ...this.#table.counts(),
      waiting: this.#waiting.size,
      recalls: this.#recalled.size,
      notices: this.#notices.size,
    };
  }

  countsOf(session: SessionId): LeaseCounts & { readonly notices: number } {
    return { ...this.#table.counts(session), notices: this.#notices.sizeOf(session) };
  }

  /** All inodes that somebody holds, and perhaps some more: see HolderTable. */
  parts(): Iterable<readonly Ino[]> {
    return this.#table.parts();
  }

  contention(ino: Ino): LeaseContention {
    let holders = 0;
    let written = false;
    this.#table.forEach(ino, (_session, level) => {
      holders++;
      written ||= level === LEVEL.write;
    });
    return { holders, written, waiting: this.#queues.get(ino)?.waiters.length ?? 0 };
  }

  /** Bytes that the table of holders takes. */
  tableBytes(): number {
    return this.#table.bytes();
  }

  #ask(ino: Ino, waiter: LeaseWaiter<Token>): LeaseEffect<Token>[] {
    const { session, wanted, token } = waiter;
    if (!this.#table.isSeated(session)) return [];
    const before = this.#table.level(session, ino);
    if (this.grant(session, ino, wanted)) {
      if (waiter.excludes) this.#excluded.set(ino, { session, before });
      return [{ kind: 'granted', token }];
    }
    invariant(!this.#waiting.has(token), 'a request waits twice', { session, ino });
    this.#queue(ino).waiters.push(waiter);
    this.#waiting.set(token, ino);
    return this.#advance(ino);
  }

  #queue(ino: Ino): LeaseQueue<Token> {
    let queue = this.#queues.get(ino);
    if (queue === undefined) this.#queues.set(ino, (queue = new LeaseQueue()));
    return queue;
  }

  #sink(session: SessionId, ino: Ino, level: number): void {
    if (this.#table.level(session, ino) > level) this.#table.setLevel(session, ino, level);
  }

  /** The other sessions that must let go before this one can have the mode. */
  #conflicts(session: SessionId, ino: Ino, mode: 'read' | 'write'): SessionId[] {
    const most = mode === 'write' ? LEVEL.known : LEVEL.read;
    const found: SessionId[] = [];
    this.#table.forEach(ino, (other, level) => {
      if (other !== session && level > most) found.push(other);
    });
    return found;
  }

  /** Grants to those who wait first as long as nothing is in the way; recalls what is in the first one's. */
  #advance(ino: Ino): LeaseEffect<Token>[] {
    const queue = this.#queues.get(ino);
    const effects: LeaseEffect<Token>[] = [];
    for (let waiter = queue?.waiters[0]; queue && waiter; waiter = queue.waiters[0]) {
      const conflicts = this.#conflicts(waiter.session, ino, waiter.wanted);
      if (conflicts.length > 0 || !this.#keeps(queue, waiter)) {
        effects.push(...this.#recall(queue, ino, conflicts, waiter.wanted === 'write' ? 'known' : 'read'));
        break;
      }
      queue.waiters.shift();
      this.#waiting.delete(waiter.token);
      const before = this.#table.level(waiter.session, ino);
      this.#table.setLevel(waiter.session, ino, Math.max(LEVEL[waiter.wanted], before));
      effects.push({ kind: 'granted', token: waiter.token });
      if (waiter.excludes) {
        this.#excluded.set(ino, { session: waiter.session, before });
        break; // `lower` goes on
      }
    }
    if (queue?.idle === true) this.#queues.delete(ino);
    return effects;
  }

  /** Whether a mode that is given now will not sink by a recall that is under way. */
  #keeps(queue: LeaseQueue<Token>, waiter: LeaseWaiter<Token>): boolean {
    const recall = queue.recalls.get(waiter.session);
    return recall === undefined || LEVEL[recall.to] >= LEVEL[waiter.wanted];
  }

  #recall(
    queue: LeaseQueue<Token>,
    ino: Ino,
    sessions: readonly SessionId[],
    to: 'known' | 'read',
  ): LeaseEffect<Token>[] {
    const effects: LeaseEffect<Token>[] = [];
    for (const session of sessions) {
      if (queue.recalls.has(session)) continue;
      const id = this.newId();
      queue.recalls.set(session, { id, to });
      this.#recalled.set(id, ino);
      effects.push({ kind: 'recall', session, recall: id, ino, to });
    }
    return effects;
  }

  #forgetRecall(session: SessionId, ino: Ino): boolean {
    const queue = this.#queues.get(ino);
    const recall = queue?.recalls.get(session);
    if (queue === undefined || recall === undefined) return false;
    queue.recalls.delete(session);
    this.#recalled.delete(recall.id);
    return true;
  }

  /** Takes the session's requests and recalls out of all queues. @returns the inodes with queues */
  #leave(session: SessionId): Ino[] {
    for (const [ino, excluded] of this.#excluded)
      if (excluded.session === session) this.#excluded.delete(ino);
    for (const [ino, queue] of this.#queues) {
      this.#forgetRecall(session, ino);
      for (const { token } of queue.waiters.filter((waiter) => waiter.session === session))
        this.#waiting.delete(token);
      queue.waiters = queue.waiters.filter((waiter) => waiter.session !== session);
    }
    return [...this.#queues.keys()];
  }

  #settleAfter(session: SessionId, inos: readonly Ino[]): LeaseEffect<Token>[] {
    const settled = this.#notices.acknowledgeAll(session);
    return [
      ...settled.map((token): LeaseEffect<Token> => ({ kind: 'settled', token })),
      ...inos.flatMap((ino) => this.#advance(ino)),
    ];
  }
}
