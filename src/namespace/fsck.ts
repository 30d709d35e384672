import { GfsError, type Ino, type Name, ROOT_INO, type TimeNs } from '../core/index.js';
import {
  ORPHAN_VALUE,
  decodeCounter,
  decodeDentry,
  decodeInode,
  encodeCounter,
  encodeDentry,
  encodeInode,
} from './codec.js';
import { FsckTable } from './fsck-table.js';
import { Keys } from './keys.js';
import type { KvEntry, KvKey, KvStore, KvWrite } from './kv-store.js';
import { type Dentry, InodeFlag, S_IFDIR, S_IFMT, copyOf } from './records.js';
import { scanPrefix } from './scan.js';
import { rootDirectory } from './store-schema.js';
import { xattrFlag } from './apply-xattr.js';

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

/**
 * Compares all records of a namespace with each other, and repairs on request. Nothing is thrown away
 * that holds data: inodes without a name get one, what cannot be read is set aside. The comparison is one
 * turn of the event loop (about 5 µs per inode), so that nothing changes meanwhile.
 */
export async function checkNamespace(kv: KvStore, options: CheckOptions): Promise<NamespaceCheck> {
  const check = new Check(kv, options);
  check.run();
  if (options.repair && check.repairs.length > 0) {
    await kv.commit(check.repairs);
    await kv.sync();
  }
  return { problems: check.problems, counts: check.counts };
}

const LOST_AND_FOUND = 'lost+found' as Name;
/** Paths are looked for (a directory is read at each level) for so many problems. */
const PATHS_MAX = 1000;
const XATTR_FLAGS =
  InodeFlag.hasXattr | InodeFlag.hasCapability | InodeFlag.hasAccessAcl | InodeFlag.hasDefaultAcl;

class Check {
  readonly problems: NamespaceProblem[] = [];
  readonly repairs: KvWrite[] = [];
  readonly counts = { inodes: 0, dentries: 0, xattrs: 0 };
  readonly #kv: KvStore;
  readonly #keys: Keys;
  readonly #options: CheckOptions;
  readonly #table = new FsckTable();
  /** Names of directories that will go away or that are new: what the stored dentries do not say. */
  readonly #lost = new Set<Ino>();
  #lostAndFound: Ino | undefined;
  #inoMax = 0;

  constructor(kv: KvStore, options: CheckOptions) {
    this.#kv = kv;
    this.#keys = new Keys(options.prefix ?? '');
    this.#options = options;
  }

  run(): void {
    this.#readInodes();
    this.#readDentries();
    this.#readXattrs();
    this.#readOrphans();
    this.#findUnnamed();
    this.#findUnreachable();
    this.#reattach();
    this.#compareInodes();
    this.#compareCounters();
  }

  #readInodes(): void {
    for (const entry of scanPrefix(this.#kv, this.#keys.inodes)) {
      const inode = this.#decoded(entry, this.#keys.inodes, (ino, rest) =>
        rest === '' ? decodeInode(ino, entry.value) : undefined,
      );
      if (inode === undefined) continue;
      this.counts.inodes++;
      this.#inoMax = Math.max(this.#inoMax, inode.ino);
      this.#table.add(inode);
    }
    if (this.#table.isDirectory(ROOT_INO)) return;
    this.#problem('no-root', ROOT_INO, 'there is no root directory');
    const root = rootDirectory({ uid: 0, gid: 0, timeNs: this.#options.timeNs });
    this.repairs.push({ key: this.#keys.inode(ROOT_INO), value: encodeInode(root) });
    this.#table.add(root);
  }

  #readDentries(): void {
    for (const entry of scanPrefix(this.#kv, this.#keys.dentries)) {
      const found = this.#decoded(entry, this.#keys.dentries, (parent, rest) =>
        rest === '' ? undefined : { parent, name: rest as Name, dentry: decodeDentry(entry.value) },
      );
      if (found === undefined) continue;
      this.counts.dentries++;
      this.#checkDentry(entry.key, found.parent, found.name, found.dentry);
    }
  }

  #checkDentry(key: KvKey, parent: Ino, name: Name, dentry: Dentry): void {
    const table = this.#table;
    const { ino } = dentry;
    const shown = JSON.stringify(name);
    if (!table.isDirectory(parent)) {
      this.#problem('dentry-without-directory', ino, `entry ${shown} of ${parent}, which is no directory`);
      this.repairs.push({ key, value: undefined });
      return;
    }
    if (!table.has(ino)) {
      this.#problem('dentry-without-inode', ino, `entry ${shown} has no inode`, { parent, name });
      this.repairs.push({ key, value: undefined });
      return;
    }
    const directory = table.isDirectory(ino);
    if (directory && (table.get(ino, 'foundNames') > 0 || ino === ROOT_INO)) {
      this.#problem('directory-named-twice', ino, `${shown} is a further name of a directory`, {
        parent,
        name,
      });
      this.repairs.push({ key, value: undefined });
      return;
    }
    const type = table.get(ino, 'mode') & S_IFMT;
    if (dentry.type !== type) {
      this.#problem('dentry-wrong-type', ino, `entry ${shown} has the wrong type`, { parent, name });
      this.repairs.push({ key, value: encodeDentry({ ino, type }) });
    }
    if (parent === ROOT_INO && name === LOST_AND_FOUND && directory) this.#lostAndFound = ino;
    this.#countName(parent, ino);
  }

  #countName(parent: Ino, ino: Ino): void {
    const table = this.#table;
    table.increase(ino, 'foundNames');
    table.increase(parent, 'foundEntries');
    if (table.isDirectory(ino)) table.increase(parent, 'foundSubdirectories');
    if (table.get(ino, 'foundParent') === 0) table.set(ino, 'foundParent', parent);
  }

  #uncountName(ino: Ino): void {
    const table = this.#table;
    const parent = table.get(ino, 'foundParent') as Ino;
    table.increase(ino, 'foundNames', -1);
    table.increase(parent, 'foundEntries', -1);
    if (table.isDirectory(ino)) table.increase(parent, 'foundSubdirectories', -1);
    table.set(ino, 'foundParent', 0);
  }

  #readXattrs(): void {
    for (const entry of scanPrefix(this.#kv, this.#keys.xattrs)) {
      const found = this.#decoded(entry, this.#keys.xattrs, (ino, name) =>
        name === '' ? undefined : { ino, name },
      );
      if (found === undefined) continue;
      const { ino, name } = found;
      this.counts.xattrs++;
      if (this.#table.has(ino)) {
        const flags = this.#table.get(ino, 'foundFlags') | InodeFlag.hasXattr | xattrFlag(name);
        this.#table.set(ino, 'foundFlags', flags);
      } else {
        this.#problem('xattr-without-inode', ino, `xattr ${JSON.stringify(name)} of no inode`);
        this.repairs.push({ key: entry.key, value: undefined });
      }
    }
  }

  #readOrphans(): void {
    for (const entry of scanPrefix(this.#kv, this.#keys.orphans)) {
      const ino = this.#decoded(entry, this.#keys.orphans, (found, rest) =>
        rest === '' ? found : undefined,
      );
      if (ino === undefined) continue;
      if (!this.#table.has(ino)) {
        this.#problem('orphan-without-inode', ino, 'orphan record of no inode');
        this.repairs.push({ key: entry.key, value: undefined });
      } else if (this.#table.get(ino, 'foundNames') > 0 || ino === ROOT_INO) {
        this.#problem('orphan-with-name', ino, 'orphan record of an inode that has a name');
        this.repairs.push({ key: entry.key, value: undefined });
      } else {
        this.#table.set(ino, 'orphan', 1);
      }
    }
  }

  #findUnnamed(): void {
    const table = this.#table;
    for (const ino of table.inos()) {
      if (table.get(ino, 'foundNames') > 0 || table.get(ino, 'orphan') === 1 || ino === ROOT_INO) continue;
      // An orphan with entries is no orphan: something is in it.
      if (table.get(ino, 'nlink') === 0 && table.get(ino, 'foundEntries') === 0) {
        this.#problem('orphan-without-record', ino, 'an unlinked inode that nobody would delete');
        this.repairs.push({ key: this.#keys.orphan(ino), value: ORPHAN_VALUE });
        table.set(ino, 'orphan', 1);
      } else {
        this.#problem('inode-without-name', ino, 'no directory names this inode');
        this.#lost.add(ino);
      }
    }
  }

  /** Directories that hold themselves: each has a name, and none of them leads to the root. */
  #findUnreachable(): void {
    const table = this.#table;
    const good = new Set<Ino>([ROOT_INO]);
    for (const ino of table.inos()) {
      if (!table.isDirectory(ino)) continue;
      const walked = new Set<Ino>();
      let at = ino;
      while (!good.has(at) && !walked.has(at) && table.get(at, 'foundParent') !== 0) {
        walked.add(at);
        at = table.get(at, 'foundParent') as Ino;
      }
      if (walked.has(at)) {
        this.#problem('unreachable-directory', at, 'a directory that lies within itself');
        const name = this.#nameOf(table.get(at, 'foundParent') as Ino, at);
        if (name !== undefined) {
          const key = this.#keys.dentry(table.get(at, 'foundParent') as Ino, name);
          this.repairs.push({ key, value: undefined });
        }
        this.#uncountName(at);
        this.#lost.add(at);
      }
      for (const each of walked) good.add(each);
    }
  }

  /** Names what has none, in /lost+found. */
  #reattach(): void {
    if (!this.#options.repair) return;
    for (const ino of this.#lost) {
      const parent = (this.#lostAndFound ??= this.#makeLostAndFound());
      const type = this.#table.get(ino, 'mode') & S_IFMT;
      this.repairs.push({
        key: this.#keys.dentry(parent, `#${ino}` as Name),
        value: encodeDentry({ ino, type }),
      });
      this.#countName(parent, ino);
    }
    this.#lost.clear();
  }

  #makeLostAndFound(): Ino {
    const ino = this.#options.nextIno?.() ?? ((this.#inoMax + 1) as Ino);
    this.#inoMax = Math.max(this.#inoMax, ino);
    const directory = rootDirectory({ uid: 0, gid: 0, timeNs: this.#options.timeNs });
    const inode = { ...directory, ino, mode: S_IFDIR | 0o700, parent: ROOT_INO };
    this.#table.add(inode);
    this.repairs.push(
      { key: this.#keys.inode(ino), value: encodeInode(inode) },
      { key: this.#keys.dentry(ROOT_INO, LOST_AND_FOUND), value: encodeDentry({ ino, type: S_IFDIR }) },
    );
    this.#countName(ROOT_INO, ino);
    return ino;
  }

  /** Each inode's own numbers against those that the other records say. */
  #compareInodes(): void {
    const table = this.#table;
    for (const ino of table.inos()) {
      if (this.#lost.has(ino)) continue;
      const directory = table.isDirectory(ino);
      const links = directory ? 2 + table.get(ino, 'foundSubdirectories') : table.get(ino, 'foundNames');
      const named = table.get(ino, 'foundNames') > 0 || ino === ROOT_INO;
      const nlink = named ? links : 0;
      const entries = table.get(ino, 'foundEntries');
      const parent = ino === ROOT_INO ? ROOT_INO : table.get(ino, 'foundParent');
      const flags = (table.get(ino, 'flags') & ~XATTR_FLAGS) | table.get(ino, 'foundFlags');
      const wrongs: NamespaceProblemKind[] = [];
      if (table.get(ino, 'nlink') !== nlink) wrongs.push('wrong-nlink');
      if (directory && table.get(ino, 'entries') !== entries) wrongs.push('wrong-entries');
      if (directory && named && table.get(ino, 'parent') !== parent) wrongs.push('wrong-parent');
      if (table.get(ino, 'flags') !== flags) wrongs.push('wrong-flags');
      if (wrongs.length === 0) continue;
      const truth: Record<string, number> = { nlink, entries, parent, flags };
      for (const kind of wrongs) {
        const field = kind.slice('wrong-'.length) as 'nlink' | 'entries' | 'parent' | 'flags';
        this.#problem(kind, ino, `${field} is ${table.get(ino, field)} and should be ${truth[field]}`);
      }
      this.#rewrite(ino, {
        nlink,
        flags,
        ...(directory ? { entries } : {}),
        ...(named && directory ? { parent } : {}),
      });
    }
  }

  #rewrite(ino: Ino, change: { nlink: number; flags: number; entries?: number; parent?: number }): void {
    const key = this.#keys.inode(ino);
    // An inode that this check makes is not stored yet: its record is among the repairs.
    const bytes = this.repairs.findLast((write) => write.key === key)?.value ?? this.#kv.get(key);
    if (!(bytes instanceof Uint8Array)) return;
    this.repairs.push({ key, value: encodeInode(Object.assign(copyOf(decodeInode(ino, bytes)), change)) });
  }

  #compareCounters(): void {
    this.#compareCounter(this.#keys.inodeCount, this.#table.size, (stored, truth) => stored === truth);
    this.#compareCounter(this.#keys.nextIno, this.#inoMax + 1, (stored, truth) => stored >= truth);
  }

  #compareCounter(key: KvKey, truth: number, agree: (stored: number, truth: number) => boolean): void {
    const bytes = this.#kv.get(key);
    let stored = -1;
    try {
      if (bytes !== undefined) stored = decodeCounter(bytes);
    } catch (thrown) {
      requireCorrupt(thrown);
    }
    if (agree(stored, truth)) return;
    // In a dry run nothing was made, and the count of what is there is what the store should say.
    this.#problem('wrong-counter', 0, `${key} is ${stored === -1 ? 'unreadable' : stored}, not ${truth}`);
    this.repairs.push({ key, value: encodeCounter(truth) });
  }

  /** @returns what `decode` makes of an entry; undefined after it was reported as undecodable */
  #decoded<T>(
    entry: KvEntry,
    prefix: KvKey,
    decode: (ino: Ino, rest: string) => T | undefined,
  ): T | undefined {
    const parsed = Keys.parse(entry.key, prefix);
    try {
      const decoded = parsed === undefined ? undefined : decode(parsed.ino, parsed.rest);
      if (decoded !== undefined) return decoded;
    } catch (thrown) {
      requireCorrupt(thrown);
    }
    this.#problem('undecodable', parsed?.ino ?? 0, `the record ${JSON.stringify(entry.key)} cannot be read`);
    const aside = `${this.#options.prefix ?? ''}corrupt/${entry.key}`;
    this.repairs.push({ key: aside, value: entry.value }, { key: entry.key, value: undefined });
    return undefined;
  }

  #problem(
    kind: NamespaceProblemKind,
    ino: number,
    message: string,
    entry?: { parent: Ino; name: Name },
  ): void {
    const path = this.problems.length < PATHS_MAX ? this.#pathOf(ino as Ino, entry) : undefined;
    const repaired = this.#options.repair;
    this.problems.push({ kind, ino, message, repaired, ...(path === undefined ? {} : { path }) });
  }

  /** By way of what was found so far; undefined where that does not lead to the root. */
  #pathOf(ino: Ino, entry?: { parent: Ino; name: Name }): string | undefined {
    let path = entry === undefined ? '' : `/${entry.name}`;
    let at = entry === undefined ? ino : entry.parent;
    for (let depth = 0; at !== ROOT_INO; depth++) {
      const parent = this.#table.get(at, 'foundParent') as Ino;
      const name = parent === 0 || depth > 4096 ? undefined : this.#nameOf(parent, at);
      if (name === undefined) return undefined;
      path = `/${name}${path}`;
      at = parent;
    }
    return path === '' ? '/' : path;
  }

  #nameOf(parent: Ino, ino: Ino): Name | undefined {
    const prefix = this.#keys.dentriesOf(parent);
    const wanted = Buffer.from(encodeDentry({ ino, type: this.#table.get(ino, 'mode') & S_IFMT })).subarray(
      2,
    );
    for (const { key, value } of scanPrefix(this.#kv, prefix)) {
      if (wanted.equals(value.subarray(2))) return key.slice(prefix.length) as Name;
    }
    return undefined;
  }
}

function requireCorrupt(thrown: unknown): void {
  if (!(thrown instanceof GfsError) || thrown.code !== 'CORRUPT') throw thrown;
}
