import { invariant, type Ino } from '../core/index.js';
import { HolderChains } from './holder-chains.js';
import { InoMap, inoHash } from './ino-map.js';
import type { LeaseCounts, SessionId } from './lease-effects.js';
import type { LeaseMode } from './lease-mode.js';

/** Modes as numbers that can be compared; 0 is none. */
export const LEVEL = { none: 0, known: 1, read: 2, write: 3 } as const;
export const MODES: readonly (LeaseMode | undefined)[] = [undefined, 'known', 'read', 'write'];

/**
 * Each part grows, and is swept, by itself, so that the coordinator is never held up for long: with 10 million
 * inodes a part has 10,000, and takes 1 ms instead of the second that all take together (measured on a busy
 * machine of 2 cores). 2^10 of them, chosen by the upper 10 bits of the hash.
 */
const PART_BITS = 10;
const PARTS = 2 ** PART_BITS;

/** A seat is dead when its session has left it; then its holders do not count, and are swept away later. */
interface Seat {
  session: SessionId | undefined;
  /** By level; what is at `none` counts nothing. */
  readonly counts: [number, number, number, number];
}

/**
 * Who holds what: (inode, session) → level. Flat arrays throughout: an inode that one session holds costs 16
 * to 32 bytes, each further session 8 (16 right after the chains have doubled).
 *
 * A holder is one integer: seat × 4 + level. Leaving is O(1), however much a session held: the seat is
 * declared dead, and the changes that follow each sweep one part of the table, until all parts are swept
 * and the seat can be given to another session.
 */
export class HolderTable {
  readonly #parts = Array.from({ length: PARTS }, () => new InoMap());
  readonly #chains = new HolderChains();
  readonly #seats: Seat[] = [];
  readonly #seatOf = new Map<SessionId, number>();
  readonly #freeSeats: number[] = [];
  /** Dead seats: those of the round of sweeping that is under way, and those that wait for the next. */
  #sweeping: number[] = [];
  #dead: number[] = [];
  #sweptParts = 0;

  isSeated(session: SessionId): boolean {
    return this.#seatOf.has(session);
  }

  /** The session holds nothing after it, whether it was seated before or not. */
  seat(session: SessionId): void {
    this.unseat(session);
    const seat = this.#freeSeats.pop() ?? this.#seats.length;
    this.#seats[seat] = { session, counts: [0, 0, 0, 0] };
    this.#seatOf.set(session, seat);
  }

  unseat(session: SessionId): void {
    const seat = this.#seatOf.get(session);
    if (seat === undefined) return;
    this.#seatOf.delete(session);
    (this.#seats[seat] as Seat).session = undefined;
    this.#dead.push(seat);
  }

  level(session: SessionId, ino: Ino): number {
    const seat = this.#seatOf.get(session);
    if (seat === undefined) return LEVEL.none;
    const value = this.#part(ino).get(ino);
    if (value >= 0) return value >> 2 === seat ? value & 3 : LEVEL.none;
    for (let node = -value; node !== 0; node = this.#chains.next(node)) {
      const holder = this.#chains.holder(node);
      if (holder >> 2 === seat) return holder & 3;
    }
    return LEVEL.none;
  }

  setLevel(session: SessionId, ino: Ino, level: number): void {
    const seat = this.#seatOf.get(session);
    invariant(seat !== undefined, 'a session that is not open gets a lease', { session, ino });
    this.#sweep();
    const before = this.level(session, ino);
    if (before === level) return;
    const { counts } = this.#seats[seat] as Seat;
    (counts[before] as number)--;
    (counts[level] as number)++;
    this.#put(this.#part(ino), ino, seat, level);
  }

  /** Calls back for everyone who holds anything of an inode. The table must not change meanwhile. */
  forEach(ino: Ino, visit: (session: SessionId, level: number) => void): void {
    const value = this.#part(ino).get(ino);
    if (value > 0) this.#visit(value, visit);
    if (value >= 0) return;
    for (let node = -value; node !== 0; node = this.#chains.next(node))
      this.#visit(this.#chains.holder(node), visit);
  }

  /**
   * All inodes, a part after the other, for reports: between two parts the table may change. There may be inodes
   * among them that nobody holds any more.
   */
  *parts(): Generator<readonly Ino[]> {
    for (const part of this.#parts) yield part.inos();
  }

  /** Of one session, or of all. */
  counts(session?: SessionId): LeaseCounts {
    const total = { known: 0, read: 0, write: 0 };
    for (const [id, seat] of this.#seatOf) {
      if (session !== undefined && session !== id) continue;
      const [, known, read, write] = (this.#seats[seat] as Seat).counts;
      total.known += known;
      total.read += read;
      total.write += write;
    }
    return total;
  }

  /** Bytes of the flat arrays. */
  bytes(): number {
    return this.#parts.reduce((sum, part) => sum + part.bytes, this.#chains.bytes);
  }

  #part(ino: Ino): InoMap {
    return this.#parts[inoHash(ino) >>> (32 - PART_BITS)] as InoMap;
  }

  #visit(holder: number, visit: (session: SessionId, level: number) => void): void {
    const { session } = this.#seats[holder >> 2] as Seat;
    if (session !== undefined) visit(session, holder & 3);
  }

  #put(part: InoMap, ino: Ino, seat: number, level: number): void {
    const value = part.get(ino);
    const holder = level === LEVEL.none ? 0 : seat * 4 + level;
    if (value >= 0) {
      if (value === 0 || value >> 2 === seat) this.#store(part, ino, holder);
      else if (holder !== 0) part.set(ino, -this.#chains.prepend(holder, this.#chains.prepend(value, 0)));
      return;
    }
    const first = -value;
    let node = first;
    while (node !== 0 && this.#chains.holder(node) >> 2 !== seat) node = this.#chains.next(node);
    if (node === 0) {
      if (holder !== 0) part.set(ino, -this.#chains.prepend(holder, first));
    } else if (holder !== 0) this.#chains.replace(node, holder);
    else this.#storeChain(part, ino, this.#chains.remove(first, node));
  }

  #store(part: InoMap, ino: Ino, value: number): void {
    if (value === 0) part.delete(ino);
    else part.set(ino, value);
  }

  /** A chain of one becomes the holder itself. */
  #storeChain(part: InoMap, ino: Ino, first: number): void {
    if (first === 0 || this.#chains.next(first) !== 0) {
      this.#store(part, ino, -first);
      return;
    }
    const holder = this.#chains.holder(first);
    this.#chains.remove(first, first);
    part.set(ino, holder);
  }

  /** One part of the table is rid of the holders on dead seats. */
  #sweep(): void {
    if (this.#sweeping.length === 0) {
      if (this.#dead.length === 0) return;
      this.#sweeping = this.#dead;
      this.#dead = [];
      this.#sweptParts = 0;
    }
    const part = this.#parts[this.#sweptParts++] as InoMap;
    for (const ino of part.inos()) this.#bury(part, ino);
    if (this.#sweptParts < PARTS) return;
    this.#freeSeats.push(...this.#sweeping);
    this.#sweeping = [];
  }

  /** All dead seats are buried, also those that wait for the next round: they are only freed by that one. */
  #bury(part: InoMap, ino: Ino): void {
    const value = part.get(ino);
    if (value > 0) {
      if (this.#isDead(value)) part.delete(ino);
      return;
    }
    let first = -value;
    for (let node = first; node !== 0;) {
      const next = this.#chains.next(node);
      if (this.#isDead(this.#chains.holder(node))) first = this.#chains.remove(first, node);
      node = next;
    }
    if (-value !== first || this.#chains.next(first) === 0) this.#storeChain(part, ino, first);
  }

  #isDead(holder: number): boolean {
    return (this.#seats[holder >> 2] as Seat).session === undefined;
  }
}
