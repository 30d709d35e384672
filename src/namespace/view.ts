import type { Ino, Name } from '../core/index.js';
import type { Dentry, InodeRecord } from './records.js';

/** What `apply` reads: a consistent picture of the namespace, without I/O that waits. */
export interface NamespaceView {
  inode(ino: Ino): InodeRecord | undefined;
  dentry(parent: Ino, name: Name): Dentry | undefined;
  xattr(ino: Ino, name: string): Uint8Array | undefined;
  xattrNames(ino: Ino): readonly string[];
  isOrphan(ino: Ino): boolean;
}
