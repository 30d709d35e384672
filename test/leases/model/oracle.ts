import type { Ino } from '../../../src/core/index.js';
import type { Change } from './protocol.js';
import { Violation } from './simulation.js';

interface Mark {
  readonly change: Change;
  readonly index: number;
  /** The session that has it in its staging only; absent for what the store has. */
  unstoredOf: string | undefined;
  /** From when on nobody may be shown anything older: acknowledged, or shown to somebody. */
  visibleFromMs: number;
}

/**
 * All values of one thing (a name's meaning, a file's attributes or content), in the order in which they were
 * made. An atomic register, checked as it is used: since the order of the changes is known, a read is right
 * exactly when nothing after what it returns was visible before it began.
 */
export class Register {
  readonly #what: string;
  #order: Mark[] = [];
  readonly #marks = new Map<Change, Mark>();
  readonly #lostAtMs = new Map<Change, number>();

  constructor(what: string, first: Change) {
    this.#what = what;
    this.#push(first, undefined);
  }

  get last(): Change {
    return (this.#order.at(-1) as Mark).change;
  }

  /** @param base what the author believes to be the last change */
  append(change: Change, base: Change, unstoredOf?: string): void {
    if (this.#marks.has(change)) throw new Violation(`${this.#what}: change ${change} is applied twice`);
    if (base !== this.last)
      throw new Violation(
        `${this.#what}: change ${change} is made upon ${base}, but ${this.last} is the last one`,
      );
    this.#push(change, unstoredOf);
  }

  /** The change was acknowledged to its author. */
  acknowledge(change: Change, nowMs: number): void {
    const mark = this.#marks.get(change);
    if (mark === undefined) throw new Violation(`${this.#what}: ${change} is acknowledged, and is not there`);
    mark.visibleFromMs = Math.min(mark.visibleFromMs, nowMs);
  }

  acknowledgeDurable(change: Change, nowMs: number): void {
    this.acknowledge(change, nowMs);
    if (this.#marks.get(change)?.unstoredOf !== undefined)
      throw new Violation(`${this.#what}: ${change} is acknowledged as durable, and is not stored`);
  }

  /** Somebody was shown this, and had asked for it at `begunMs`. */
  read(change: Change, begunMs: number, nowMs: number): void {
    const mark = this.#marks.get(change);
    if (mark === undefined) {
      if ((this.#lostAtMs.get(change) ?? -1) >= begunMs) return; // it was there while it was asked for
      throw new Violation(`${this.#what}: ${change} is shown, and is not there (now ${this.last})`);
    }
    for (let later = this.#order.length - 1; later > mark.index; later--) {
      const newer = this.#order[later] as Mark;
      if (newer.visibleFromMs < begunMs)
        throw new Violation(
          `${this.#what}: ${change} is shown to who asked at ${begunMs.toFixed(1)}, but ${newer.change} was visible from ${newer.visibleFromMs.toFixed(1)}`,
        );
    }
    mark.visibleFromMs = Math.min(mark.visibleFromMs, nowMs);
  }

  /** The store has it, and with it all before it. */
  store(change: Change): void {
    const mark = this.#marks.get(change);
    if (mark === undefined) throw new Violation(`${this.#what}: ${change} is stored after it was lost`);
    const newer = this.#order.slice(mark.index + 1).find(({ unstoredOf }) => unstoredOf === undefined);
    if (newer !== undefined)
      throw new Violation(`${this.#what}: ${change} is stored over ${newer.change}, which is newer`);
    for (let at = mark.index; at >= 0; at--) (this.#order[at] as Mark).unstoredOf = undefined;
  }

  /** A session has ended: what only its staging has is not there any more. */
  lose(session: string, nowMs: number): void {
    while (this.#order.at(-1)?.unstoredOf === session) {
      const mark = this.#order.pop() as Mark;
      this.#marks.delete(mark.change);
      this.#lostAtMs.set(mark.change, nowMs);
    }
  }

  #push(change: Change, unstoredOf: string | undefined): void {
    const mark = { change, index: this.#order.length, unstoredOf, visibleFromMs: Number.POSITIVE_INFINITY };
    this.#order.push(mark);
    this.#marks.set(change, mark);
  }
}

/** What must be true of all that the model's mounts are told, and of what the store becomes. */
export class Oracle {
  readonly #names = new Map<string, Register>();
  readonly #attributes = new Map<Ino, Register>();
  readonly #contents = new Map<Ino, Register>();
  readonly #ended = new Set<string>();

  name(name: string): Register {
    let register = this.#names.get(name);
    if (register === undefined) this.#names.set(name, (register = new Register(`name ${name}`, 0)));
    return register;
  }

  addFile(ino: Ino, change: Change): void {
    this.#attributes.set(ino, new Register(`attributes of ${ino}`, change));
    this.#contents.set(ino, new Register(`content of ${ino}`, change));
  }

  attributes(ino: Ino): Register {
    return this.#attributes.get(ino) ?? missing(ino);
  }

  content(ino: Ino): Register {
    return this.#contents.get(ino) ?? missing(ino);
  }

  /** Nothing of the session is stored from now on. */
  sessionEnded(session: string, nowMs: number): void {
    this.#ended.add(session);
    for (const content of this.#contents.values()) content.lose(session, nowMs);
  }

  hasEnded(session: string | undefined): boolean {
    return session === undefined || this.#ended.has(session);
  }

  commandStored(session: string): void {
    if (this.#ended.has(session))
      throw new Violation(`a command of session ${session}, which has ended, is stored`);
  }
}

function missing(ino: Ino): never {
  throw new Violation(`inode ${ino} is used, and was never stored`);
}
