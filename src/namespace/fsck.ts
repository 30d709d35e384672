import { type Ino, type Name, ROOT_INO } from '../core/index.js';
import {
  ORPHAN_VALUE,
  decodeCounter,
  decodeInode,
  encodeCounter,
  encodeDentry,
  encodeInode,
} from './codec.js';
import {
  type CheckOptions,
  FsckContext,
  LOST_AND_FOUND,
  type NamespaceCheck,
  type NamespaceProblemKind,
} from './fsck-context.js';
import { readRecords, requireCorrupt } from './fsck-read.js';
import type { KvKey, KvStore } from './kv-store.js';
import { InodeFlag, S_IFDIR, S_IFMT, copyOf } from './records.js';
import { rootDirectory } from './store-schema.js';

/**
 * Compares all records of a namespace with each other, and repairs on request. Nothing is thrown away
 * that holds data: inodes without a name get one, what cannot be read is set aside. The comparison is one
 * turn of the event loop (about 5 µs per inode), so that nothing changes meanwhile.
 */
export async function checkNamespace(kv: KvStore, options: CheckOptions): Promise<NamespaceCheck> {
  const { problems, counts } = compare(new FsckContext(kv, { ...options, repair: false }));
  if (!options.repair || problems.length === 0) return { problems, counts };
  // The second check plans: its own problems are also those that its repairs cause (a new /lost+found).
  const { repairs } = compare(new FsckContext(kv, options));
  await kv.commit(Array.from(repairs, ([key, value]) => ({ key, value })));
  await kv.sync();
  return { problems: problems.map((problem) => ({ ...problem, repaired: true })), counts };
}

function compare(context: FsckContext): FsckContext {
  readRecords(context);
  findUnnamed(context);
  findUnreachable(context);
  if (context.options.repair) reattach(context);
  compareInodes(context);
  compareCounter(context, context.keys.inodeCount, context.table.size, (stored, truth) => stored === truth);
  compareCounter(context, context.keys.nextIno, context.inoMax + 1, (stored, truth) => stored >= truth);
  return context;
}

/** Those flags that other records prove. */
const XATTR_FLAGS =
  InodeFlag.hasXattr | InodeFlag.hasCapability | InodeFlag.hasAccessAcl | InodeFlag.hasDefaultAcl;

function findUnnamed(context: FsckContext): void {
  const table = context.table;
  for (const ino of table.inos()) {
    if (table.get(ino, 'foundNames') > 0 || table.get(ino, 'orphan') === 1 || ino === ROOT_INO) continue;
    // An orphan with entries is no orphan: something is in it.
    if (table.get(ino, 'nlink') === 0 && table.get(ino, 'foundEntries') === 0) {
      context.problem('orphan-without-record', ino, 'an unlinked inode that nobody would delete');
      context.repairs.set(context.keys.orphan(ino), ORPHAN_VALUE);
      table.set(ino, 'orphan', 1);
    } else {
      context.problem('inode-without-name', ino, 'no directory names this inode');
      context.lost.add(ino);
    }
  }
}

/** Directories that hold themselves: each has a name, and none of them leads to the root. */
function findUnreachable(context: FsckContext): void {
  const table = context.table;
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
      context.problem('unreachable-directory', at, 'a directory that lies within itself');
      if (context.options.repair) context.unname(at);
      context.lost.add(at);
    }
    for (const each of walked) good.add(each);
  }
}

/** Names what has none, in /lost+found. */
function reattach(context: FsckContext): void {
  for (const ino of context.lost) {
    const parent = (context.lostAndFound ??= makeLostAndFound(context));
    addEntry(context, parent, `#${ino}` as Name, ino);
  }
  context.lost.clear();
}

function makeLostAndFound(context: FsckContext): Ino {
  const ino = context.options.nextIno?.() ?? ((context.inoMax + 1) as Ino);
  context.inoMax = Math.max(context.inoMax, ino);
  const directory = rootDirectory({ uid: 0, gid: 0, timeNs: context.options.timeNs });
  const inode = { ...directory, ino, mode: S_IFDIR | 0o700, parent: ROOT_INO };
  context.table.add(inode);
  context.repairs.set(context.keys.inode(ino), encodeInode(inode));
  addEntry(context, ROOT_INO, LOST_AND_FOUND, ino);
  return ino;
}

/** With a `+` at the end of the name for each time that it is taken. */
function addEntry(context: FsckContext, parent: Ino, name: Name, ino: Ino): void {
  let key = context.keys.dentry(parent, name);
  while (context.kv.get(key) !== undefined || context.repairs.has(key)) key += '+';
  context.repairs.set(key, encodeDentry({ ino, type: context.table.get(ino, 'mode') & S_IFMT }));
  context.name(parent, ino);
}

/** Each inode's own numbers against those that the other records say. */
function compareInodes(context: FsckContext): void {
  const table = context.table;
  for (const ino of table.inos()) {
    if (context.lost.has(ino)) continue;
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
      context.problem(kind, ino, `${field} is ${table.get(ino, field)} and should be ${truth[field]}`);
    }
    rewrite(context, ino, {
      nlink,
      flags,
      ...(directory ? { entries } : {}),
      ...(named && directory ? { parent } : {}),
    });
  }
}

function rewrite(
  context: FsckContext,
  ino: Ino,
  change: { nlink: number; flags: number; entries?: number; parent?: number },
): void {
  const key = context.keys.inode(ino);
  // An inode that this check makes is not stored yet: its record is among the repairs.
  const bytes = context.repairs.get(key) ?? context.kv.get(key);
  if (bytes === undefined) return;
  context.repairs.set(key, encodeInode(Object.assign(copyOf(decodeInode(ino, bytes)), change)));
}

function compareCounter(
  context: FsckContext,
  key: KvKey,
  truth: number,
  agree: (stored: number, truth: number) => boolean,
): void {
  const bytes = context.kv.get(key);
  let stored = -1;
  try {
    if (bytes !== undefined) stored = decodeCounter(bytes);
  } catch (thrown) {
    requireCorrupt(thrown);
  }
  if (agree(stored, truth)) return;
  context.problem('wrong-counter', 0, `${key} is ${stored === -1 ? 'unreadable' : stored}, not ${truth}`);
  context.repairs.set(key, encodeCounter(truth));
}
