import type { Name } from '../core/index.js';
import { type NamedDentry, SortedKeys } from '../namespace/index.js';

/** Greater than every name: names are bytes, one per character. */
const END = '\u{ffff}';

/**
 * More unknown names than this in what was listed, and it is read again instead: 64 look-ups cost as much as
 * a page of some hundred entries.
 */
const UNKNOWN_MAX = 64;

/** What a name is known to mean; undefined: not known. */
export type Meaning = NamedDentry | 'absent' | undefined;

/** What must be asked for before entries can be listed from memory: single names, or the page after a name. */
export type ListingGap =
  | { readonly kind: 'names'; readonly names: readonly Name[] }
  | { readonly kind: 'page'; readonly after: Name | '' };

/** Counts names over all directories. */
export interface NameCount {
  names: number;
}

/**
 * What is known of one directory's entries under its read lease: single names, present or absent, and one
 * listed range, within which every name is known that is not noted as unknown. A directory that was read
 * from its beginning to its end is such a range: then also names that nobody has asked for are known to be absent.
 */
export class CachedDirectory {
  /** Since the cache looked last. */
  used = true;
  readonly #count: NameCount;
  readonly #names = new Map<Name, NamedDentry | 'absent'>();
  /** Names that are present, in order; made when a listing is asked for. */
  #order: SortedKeys | undefined;
  /** The listed range: names greater than `#from`, up to and including `#through`. */
  #from: Name | '' = '';
  #through: Name | '' = '';
  /** Names of the listed range that others have changed. */
  #unknown: Set<Name> | undefined;

  constructor(count: NameCount) {
    this.#count = count;
  }

  /** Every entry is in memory, but for those that are noted as unknown. */
  get listed(): boolean {
    return this.#from === '' && this.#through === END;
  }

  meaning(name: Name): Meaning {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    return this.#covers(name) && this.#unknown?.has(name) !== true ? 'absent' : undefined;
  }

  learn(name: Name, meaning: NamedDentry | 'absent'): void {
    this.#unknown?.delete(name);
    if (meaning !== 'absent') this.#put(name, meaning);
    else if (this.#covers(name)) this.#drop(name);
    else {
      this.#put(name, 'absent');
      this.#order?.delete(name);
    }
  }

  /** Somebody else has changed what the name means. */
  forget(name: Name): void {
    this.#drop(name);
    if (!this.#covers(name)) return;
    this.#unknown ??= new Set();
    this.#unknown.add(name);
    if (this.#unknown.size > UNKNOWN_MAX) this.#startRange('');
  }

  /** Takes in a page of entries after a name. `complete`: no entry follows. */
  learnPage(after: Name | '', entries: readonly NamedDentry[], complete: boolean): void {
    const last = entries.at(-1)?.name ?? after;
    const end = complete ? (END as Name) : last;
    if (after < this.#from || after > this.#through) this.#startRange(after);
    for (const name of this.#unknown ?? []) if (name > after && name <= end) this.#unknown?.delete(name);
    for (const entry of entries) this.#put(entry.name, entry);
    if (end > this.#through) this.#through = end;
  }

  /**
   * At most `limit` entries after a name, when that can be told from memory.
   * @returns what is missing, else
   */
  list(after: Name | '', limit: number): NamedDentry[] | ListingGap {
    if (after < this.#from || after > this.#through) return { kind: 'page', after };
    const entries: NamedDentry[] = [];
    if (limit > 0) {
      for (const name of this.#ordered().range({ start: after, afterStart: true, end: END })) {
        if (name > this.#through) break;
        entries.push(this.#names.get(name as Name) as NamedDentry);
        if (entries.length === limit) break;
      }
    }
    const full = entries.length === limit;
    const end = full ? (entries.at(-1)?.name ?? after) : this.#through;
    const names = [...(this.#unknown ?? [])].filter((name) => name > after && name <= end);
    if (names.length > 0) return { kind: 'names', names };
    return full || this.#through === END ? entries : { kind: 'page', after: this.#through };
  }

  /** Where to read on, when fewer than `entries` listed ones follow a name, and there are more to come. */
  readAhead(after: Name | '', entries: number): Name | '' | undefined {
    if (this.#through === END) return undefined;
    const following = this.list(after, entries);
    return Array.isArray(following) ? undefined : this.#through;
  }

  /** The names count no more. */
  clear(): void {
    this.#count.names -= this.#names.size;
    this.#names.clear();
    this.#order = undefined;
    this.#startRange('');
  }

  #covers(name: Name): boolean {
    return name > this.#from && name <= this.#through;
  }

  #startRange(at: Name | ''): void {
    this.#from = at;
    this.#through = at;
    this.#unknown = undefined;
  }

  #put(name: Name, meaning: NamedDentry | 'absent'): void {
    const before = this.#names.size;
    this.#names.set(name, meaning);
    this.#count.names += this.#names.size - before;
    if (meaning !== 'absent') this.#order?.add(name);
  }

  #drop(name: Name): void {
    if (!this.#names.delete(name)) return;
    this.#count.names--;
    this.#order?.delete(name);
  }

  #ordered(): SortedKeys {
    if (this.#order !== undefined) return this.#order;
    const order = new SortedKeys();
    for (const [name, meaning] of this.#names) if (meaning !== 'absent') order.add(name);
    this.#order = order;
    return order;
  }
}
