import type { Ino, Name } from '../core/index.js';
import type { Dentry } from './records.js';

type Generation = Map<Ino, Map<Name, Packed>>;

/** Inode number and type in one number, which takes no object: `ino * 16 + type bits`; 0: known not to be there. */
type Packed = number;
const TYPES = 16;
const TYPE_SHIFT = 12;

/** Known not to be there. */
export const ABSENT: Dentry = { ino: 0 as Ino, type: 0 };

/**
 * Names and what they mean, also that they mean nothing; bounded like TwoGenerationMap. A map per directory,
 * so that a look-up makes no key.
 */
export class DentryCache {
  #young: Generation = new Map();
  #old: Generation = new Map();
  #youngCount = 0;
  readonly #youngMax: number;

  constructor(entriesMax: number) {
    this.#youngMax = Math.max(1, Math.floor(entriesMax / 2));
  }

  get(parent: Ino, name: Name): Dentry | undefined {
    const young = this.#young.get(parent)?.get(name);
    if (young !== undefined) return unpack(young);
    const old = this.#old.get(parent)?.get(name);
    if (old === undefined) return undefined;
    this.#set(parent, name, old);
    return unpack(old);
  }

  set(parent: Ino, name: Name, dentry: Dentry): void {
    this.#set(parent, name, pack(dentry));
  }

  #set(parent: Ino, name: Name, packed: Packed): void {
    let directory = this.#young.get(parent);
    if (directory === undefined) {
      directory = new Map();
      this.#young.set(parent, directory);
    }
    directory.set(name, packed);
    // Counts a name that is set twice twice: the generation is then only shorter.
    if (++this.#youngCount < this.#youngMax) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngCount = 0;
  }

  /** Every inode that a cached name means, and one such name: in a walk through all of them. */
  places(): Map<Ino, { readonly parent: Ino; readonly name: Name }> {
    const places = new Map<Ino, { parent: Ino; name: Name }>();
    for (const generation of [this.#old, this.#young]) {
      for (const [parent, names] of generation) {
        for (const [name, packed] of names)
          if (packed !== 0) places.set(unpack(packed).ino, { parent, name });
      }
    }
    return places;
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngCount = 0;
  }
}

const pack = ({ ino, type }: Dentry): Packed => ino * TYPES + (type >> TYPE_SHIFT);

function unpack(packed: Packed): Dentry {
  if (packed === 0) return ABSENT;
  return { ino: Math.floor(packed / TYPES) as Ino, type: (packed % TYPES) << TYPE_SHIFT };
}
