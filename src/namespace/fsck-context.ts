import { type Ino, type Name, ROOT_INO, type TimeNs } from '../core/index.js';
import { encodeDentry } from './codec.js';
import { FsckTable } from './fsck-table.js';
import { Keys } from './keys.js';
import type { KvKey, KvStore } from './kv-store.js';
import { S_IFMT } from './records.js';
import { scanPrefix } from './scan.js';

export type NamespaceProblemKind =
  | 'undecodable' // a record or key that means nothing; repair sets it aside under `corrupt/`
  | 'no-root' // repair makes an empty one
  | 'dentry-without-inode'
  | 'dentry-without-directory'
  | 'dentry-wrong-type'
  | 'directory-named-twice' // repair keeps the first name
  | 'inode-without-name' // repair names it /lost+found/#<ino>
  | 'unreachable-directory' // it, or one above it, lies within itself; repair as above
  | 'wrong-nlink'
  | 'wrong-entries'
  | 'wrong-parent'
  | 'wrong-flags'
  | 'orphan-without-inode'
  | 'orphan-with-name'
  | 'orphan-without-record'
  | 'xattr-without-inode'
  | 'wrong-counter';

export interface NamespaceProblem {
  readonly kind: NamespaceProblemKind;
  /** The inode concerned; 0 where there is none. */
  readonly ino: number;
  /** Where it is, if that is known: bytes, one per character. */
  readonly path?: string;
  readonly message: string;
  readonly repaired: boolean;
}

export interface NamespaceCheck {
  readonly problems: readonly NamespaceProblem[];
  readonly counts: { readonly inodes: number; readonly dentries: number; readonly xattrs: number };
}

export interface CheckOptions {
  readonly repair: boolean;
  readonly prefix?: string;
  readonly timeNs: TimeNs;
  /** A number for /lost+found; needed where a Namespace hands out numbers of this store at the same time. */
  readonly nextIno?: () => Ino;
}

/** Where a repair puts what has no name. */
export const LOST_AND_FOUND = 'lost+found' as Name;
/** Paths are looked for (a directory is read at each level) for so many problems. */
const PATHS_MAX = 1000;
/** PATH_MAX bytes hold fewer components; what is deeper is a loop. */
const DEPTH_MAX = 4096;

interface Entry {
  readonly parent: Ino;
  readonly name: Name;
}

/** What the parts of a check share: what was found so far, and what a repair would write. */
export class FsckContext {
  readonly kv: KvStore;
  readonly keys: Keys;
  readonly options: CheckOptions;
  readonly problems: NamespaceProblem[] = [];
  /** By key; undefined deletes. */
  readonly repairs = new Map<KvKey, Uint8Array | undefined>();
  readonly counts = { inodes: 0, dentries: 0, xattrs: 0 };
  readonly table = new FsckTable();
  /** Inodes that a repair names in /lost+found. */
  readonly lost = new Set<Ino>();
  lostAndFound: Ino | undefined;
  inoMax = 0;

  constructor(kv: KvStore, options: CheckOptions) {
    this.kv = kv;
    this.keys = new Keys(options.prefix ?? '');
    this.options = options;
  }

  /** @param entry where the problem lies in an entry that its inode need not be found by */
  problem(kind: NamespaceProblemKind, ino: number, message: string, entry?: Entry): void {
    const path = this.problems.length < PATHS_MAX ? this.#pathOf(ino as Ino, entry) : undefined;
    this.problems.push({ kind, ino, message, repaired: false, ...(path === undefined ? {} : { path }) });
  }

  /** Counts a name of an inode. */
  name(parent: Ino, ino: Ino): void {
    const { table } = this;
    table.increase(ino, 'foundNames');
    table.increase(parent, 'foundEntries');
    if (table.isDirectory(ino)) table.increase(parent, 'foundSubdirectories');
    if (table.get(ino, 'foundParent') === 0) table.set(ino, 'foundParent', parent);
  }

  /** Takes a directory's name, so that it can get another one. */
  unname(ino: Ino): void {
    const { table } = this;
    const parent = table.get(ino, 'foundParent') as Ino;
    const name = this.#nameOf(parent, ino);
    if (name !== undefined) this.repairs.set(this.keys.dentry(parent, name), undefined);
    table.increase(ino, 'foundNames', -1);
    table.increase(parent, 'foundEntries', -1);
    if (table.isDirectory(ino)) table.increase(parent, 'foundSubdirectories', -1);
    table.set(ino, 'foundParent', 0);
  }

  /** By way of what was found so far; undefined where that does not lead to the root. */
  #pathOf(ino: Ino, entry?: Entry): string | undefined {
    let path = entry === undefined ? '' : `/${entry.name}`;
    let at = entry === undefined ? ino : entry.parent;
    for (let depth = 0; at !== ROOT_INO; depth++) {
      const parent = this.table.get(at, 'foundParent') as Ino;
      const name = parent === 0 || depth > DEPTH_MAX ? undefined : this.#nameOf(parent, at);
      if (name === undefined) return undefined;
      path = `/${name}${path}`;
      at = parent;
    }
    return path === '' ? '/' : path;
  }

  #nameOf(parent: Ino, ino: Ino): Name | undefined {
    const prefix = this.keys.dentriesOf(parent);
    const wanted = Buffer.from(encodeDentry({ ino, type: this.table.get(ino, 'mode') & S_IFMT })).subarray(2);
    for (const { key, value } of scanPrefix(this.kv, prefix)) {
      if (wanted.equals(value.subarray(2))) return key.slice(prefix.length) as Name;
    }
    return undefined;
  }
}
