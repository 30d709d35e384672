import { GfsError, type Ino, type Name, ROOT_INO } from '../core/index.js';
import { xattrFlag } from './apply-xattr.js';
import { decodeDentry, decodeInode, encodeDentry, encodeInode } from './codec.js';
import { type FsckContext, LOST_AND_FOUND } from './fsck-context.js';
import { Keys } from './keys.js';
import type { KvEntry, KvKey } from './kv-store.js';
import { type Dentry, InodeFlag, S_IFMT } from './records.js';
import { scanPrefix } from './scan.js';
import { rootDirectory } from './store-schema.js';

/** Reads all records, in the order in which they lean on each other, and checks each for itself. */
export function readRecords(context: FsckContext): void {
  readInodes(context);
  readDentries(context);
  readXattrs(context);
  readOrphans(context);
}

function readInodes(context: FsckContext): void {
  for (const entry of scanPrefix(context.kv, context.keys.inodes)) {
    const inode = decoded(context, entry, context.keys.inodes, (ino, rest) =>
      rest === '' ? decodeInode(ino, entry.value) : undefined,
    );
    if (inode === undefined) continue;
    context.counts.inodes++;
    context.inoMax = Math.max(context.inoMax, inode.ino);
    context.table.add(inode);
  }
  if (context.table.isDirectory(ROOT_INO)) return;
  context.problem('no-root', ROOT_INO, 'there is no root directory');
  const root = rootDirectory({ uid: 0, gid: 0, timeNs: context.options.timeNs });
  context.repairs.set(context.keys.inode(ROOT_INO), encodeInode(root));
  context.table.add(root);
}

function readDentries(context: FsckContext): void {
  for (const entry of scanPrefix(context.kv, context.keys.dentries)) {
    const found = decoded(context, entry, context.keys.dentries, (parent, rest) =>
      rest === '' ? undefined : { parent, name: rest as Name, dentry: decodeDentry(entry.value) },
    );
    if (found === undefined) continue;
    context.counts.dentries++;
    checkDentry(context, entry.key, found.parent, found.name, found.dentry);
  }
}

function checkDentry(context: FsckContext, key: KvKey, parent: Ino, name: Name, dentry: Dentry): void {
  const table = context.table;
  const { ino } = dentry;
  const shown = JSON.stringify(name);
  if (!table.isDirectory(parent)) {
    context.problem('dentry-without-directory', ino, `entry ${shown} of ${parent}, which is no directory`);
    context.repairs.set(key, undefined);
    return;
  }
  if (!table.has(ino)) {
    context.problem('dentry-without-inode', ino, `entry ${shown} has no inode`, { parent, name });
    context.repairs.set(key, undefined);
    return;
  }
  const type = table.get(ino, 'mode') & S_IFMT;
  if (dentry.type !== type) {
    context.problem('dentry-wrong-type', ino, `entry ${shown} has the wrong type`, { parent, name });
    context.repairs.set(key, encodeDentry({ ino, type }));
  }
  const directory = table.isDirectory(ino);
  if (directory && (table.get(ino, 'foundNames') > 0 || ino === ROOT_INO)) {
    if (table.get(ino, 'parent') === parent && table.get(ino, 'foundParent') !== parent) {
      // The inode itself says that this name is the right one.
      context.problem('directory-named-twice', ino, 'this is a further name of a directory');
      context.unname(ino);
      context.name(parent, ino);
      return;
    }
    context.problem('directory-named-twice', ino, `${shown} is a further name of a directory`, {
      parent,
      name,
    });
    context.repairs.set(key, undefined);
    return;
  }
  if (parent === ROOT_INO && name === LOST_AND_FOUND && directory) context.lostAndFound = ino;
  context.name(parent, ino);
}

function readXattrs(context: FsckContext): void {
  for (const entry of scanPrefix(context.kv, context.keys.xattrs)) {
    const found = decoded(context, entry, context.keys.xattrs, (ino, name) =>
      name === '' ? undefined : { ino, name },
    );
    if (found === undefined) continue;
    const { ino, name } = found;
    context.counts.xattrs++;
    if (context.table.has(ino)) {
      const flags = context.table.get(ino, 'foundFlags') | InodeFlag.hasXattr | xattrFlag(name);
      context.table.set(ino, 'foundFlags', flags);
    } else {
      context.problem('xattr-without-inode', ino, `xattr ${JSON.stringify(name)} of no inode`);
      context.repairs.set(entry.key, undefined);
    }
  }
}

function readOrphans(context: FsckContext): void {
  for (const entry of scanPrefix(context.kv, context.keys.orphans)) {
    const ino = decoded(context, entry, context.keys.orphans, (found, rest) =>
      rest === '' ? found : undefined,
    );
    if (ino === undefined) continue;
    if (!context.table.has(ino)) {
      context.problem('orphan-without-inode', ino, 'orphan record of no inode');
      context.repairs.set(entry.key, undefined);
    } else if (context.table.get(ino, 'foundNames') > 0 || ino === ROOT_INO) {
      context.problem('orphan-with-name', ino, 'orphan record of an inode that has a name');
      context.repairs.set(entry.key, undefined);
    } else {
      context.table.set(ino, 'orphan', 1);
    }
  }
}

/** @returns what `decode` makes of an entry; undefined after it was reported as undecodable */
function decoded<T>(
  context: FsckContext,
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
  context.problem('undecodable', parsed?.ino ?? 0, `the record ${JSON.stringify(entry.key)} cannot be read`);
  const aside = `${context.options.prefix ?? ''}corrupt/${entry.key}`;
  context.repairs.set(aside, entry.value);
  context.repairs.set(entry.key, undefined);
  return undefined;
}

export function requireCorrupt(thrown: unknown): void {
  if (!(thrown instanceof GfsError) || thrown.code !== 'CORRUPT') throw thrown;
}
