import type { Ino, Name } from '../core/index.js';
import type { KvKey } from './kv-store.js';

/** The store's keys (doc/KEYS.md), all under one prefix, which may be ''. */
export class Keys {
  readonly inodes: KvKey;
  readonly dentries: KvKey;
  readonly xattrs: KvKey;
  readonly orphans: KvKey;
  readonly schema: KvKey;
  readonly nextIno: KvKey;
  readonly inodeCount: KvKey;

  constructor(prefix: string) {
    this.inodes = `${prefix}inode/`;
    this.dentries = `${prefix}dentry/`;
    this.xattrs = `${prefix}xattr/`;
    this.orphans = `${prefix}orphan/`;
    this.schema = `${prefix}meta/schema`;
    this.nextIno = `${prefix}meta/next-ino`;
    this.inodeCount = `${prefix}meta/inode-count`;
  }

  inode(ino: Ino): KvKey {
    return this.inodes + ino;
  }

  orphan(ino: Ino): KvKey {
    return this.orphans + ino;
  }

  dentriesOf(parent: Ino): KvKey {
    return `${this.dentries}${parent}/`;
  }

  dentry(parent: Ino, name: Name): KvKey {
    return `${this.dentries}${parent}/${name}`;
  }

  xattrsOf(ino: Ino): KvKey {
    return `${this.xattrs}${ino}/`;
  }

  xattr(ino: Ino, name: string): KvKey {
    return `${this.xattrs}${ino}/${name}`;
  }

  /**
   * Takes `<ino>` or `<ino>/<rest>` apart, after one of the prefixes above.
   * @returns undefined for what no key of ours looks like
   */
  static parse(key: KvKey, prefix: KvKey): { ino: Ino; rest: string } | undefined {
    const slash = key.indexOf('/', prefix.length);
    const digits = slash === -1 ? key.slice(prefix.length) : key.slice(prefix.length, slash);
    const ino = Number(digits);
    if (!/^[1-9][0-9]*$/.test(digits) || !Number.isSafeInteger(ino)) return undefined;
    return { ino: ino as Ino, rest: slash === -1 ? '' : key.slice(slash + 1) };
  }
}
