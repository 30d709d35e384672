import type { Ino, Name, TimeNs } from '../core/index.js';
import type { InodeRecord, ManifestRef } from './records.js';

/** Who asks. `apply` needs it for new inodes' owners and for the rules that depend on the caller. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
}

/** What all commands that make an inode say of it. `ino` comes from a range that the session owns. */
interface NewInode {
  readonly parent: Ino;
  readonly name: Name;
  readonly ino: Ino;
  readonly caller: Caller;
  readonly timeNs: TimeNs;
}

/** Mode with type bits, before the umask; `umask` counts only where no default ACL is inherited. */
interface NewMode {
  readonly mode: number;
  readonly umask: number;
}

/** A regular file. EEXIST when the name is taken. */
export type CreateCommand = { readonly kind: 'create' } & NewInode & NewMode;
export type MkdirCommand = { readonly kind: 'mkdir' } & NewInode & NewMode;
/** A FIFO, socket, device node, or regular file, by the type bits of `mode`. */
export type MknodCommand = { readonly kind: 'mknod'; readonly rdev: number } & NewInode & NewMode;
export type SymlinkCommand = { readonly kind: 'symlink'; readonly target: string } & NewInode;
/** O_TMPFILE: an inode without a name, an orphan until `link` names it. */
export interface TmpfileCommand extends NewMode {
  readonly kind: 'tmpfile';
  readonly parent: Ino;
  readonly ino: Ino;
  readonly caller: Caller;
  readonly timeNs: TimeNs;
}
export interface LinkCommand {
  readonly kind: 'link';
  readonly ino: Ino;
  readonly parent: Ino;
  readonly name: Name;
  readonly timeNs: TimeNs;
}
export interface UnlinkCommand {
  readonly kind: 'unlink';
  readonly parent: Ino;
  readonly name: Name;
  readonly timeNs: TimeNs;
}
export interface RmdirCommand {
  readonly kind: 'rmdir';
  readonly parent: Ino;
  readonly name: Name;
  readonly timeNs: TimeNs;
}
export interface RenameCommand {
  readonly kind: 'rename';
  readonly parent: Ino;
  readonly name: Name;
  readonly newParent: Ino;
  readonly newName: Name;
  /** `noreplace`: EEXIST when the new name is taken; `exchange`: both must exist and change places. */
  readonly mode: 'replace' | 'noreplace' | 'exchange';
  readonly timeNs: TimeNs;
}
/**
 * chmod, chown, utimensat, and size or times that a write changed. What is undefined stays.
 * ctime becomes `timeNs` unless `ctimeNs` is given.
 */
export interface SetattrCommand {
  readonly kind: 'setattr';
  readonly ino: Ino;
  readonly timeNs: TimeNs;
  /** Permission bits only (07777). Also rewrites the mask or group entry of an access ACL. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly allocatedBytes?: number;
  readonly atimeNs?: TimeNs;
  readonly mtimeNs?: TimeNs;
  readonly ctimeNs?: TimeNs;
  /** Remove setuid, setgid (where group-executable) and security.capability: a write, truncate or chown did it. */
  readonly killPrivileges?: 'all' | 'suid-sgid' | 'capability';
  /** With it, setgid goes even where it is not group-executable: the caller is not of the group. */
  readonly killSetgid?: boolean;
}
/** Extended attribute, POSIX ACLs (`system.posix_acl_access`, `…_default`) included: those also set the mode. */
export interface SetxattrCommand {
  readonly kind: 'setxattr';
  readonly ino: Ino;
  readonly name: string;
  readonly value: Uint8Array;
  readonly mode: 'either' | 'create' | 'replace';
  /** The kernel asks to drop setgid while setting an access ACL (FUSE_SETXATTR_ACL_KILL_SGID). */
  readonly killSgid: boolean;
  readonly timeNs: TimeNs;
}
export interface RemovexattrCommand {
  readonly kind: 'removexattr';
  readonly ino: Ino;
  readonly name: string;
  readonly timeNs: TimeNs;
}
/**
 * Publishes sealed content as the next version. `baseVersion` must be the current one, else ESTALE.
 * Times that are given are those of the writes that made the content; what is undefined stays.
 */
export interface CommitCommand {
  readonly kind: 'commit';
  readonly ino: Ino;
  readonly baseVersion: number;
  readonly manifest: ManifestRef;
  readonly size: number;
  readonly allocatedBytes: number;
  /** As `InodeRecord.sources`; undefined where there is one site only. */
  readonly sources?: readonly string[];
  readonly atimeNs?: TimeNs;
  readonly mtimeNs?: TimeNs;
  readonly ctimeNs?: TimeNs;
}
/** Deletes an orphan: its last user is gone. Nothing happens when the inode has a name again. */
export interface ReapCommand {
  readonly kind: 'reap';
  readonly ino: Ino;
}

export type Command =
  | CreateCommand
  | MkdirCommand
  | MknodCommand
  | SymlinkCommand
  | TmpfileCommand
  | LinkCommand
  | UnlinkCommand
  | RmdirCommand
  | RenameCommand
  | SetattrCommand
  | SetxattrCommand
  | RemovexattrCommand
  | CommitCommand
  | ReapCommand;

/**
 * What the author learns. `inode` is the inode that the command made or changed, as it now is (for
 * `unlink`, `rmdir` the one that lost its name; for `rename` the one that moved).
 * `orphaned` is an inode that lost its last name and now waits for `reap`.
 */
export interface CommandResult {
  readonly inode: InodeRecord;
  readonly orphaned?: InodeRecord;
}

/** What caches elsewhere must forget. */
export type Invalidation =
  | { readonly kind: 'entry'; readonly parent: Ino; readonly name: Name }
  | { readonly kind: 'inode'; readonly ino: Ino };

/** A change to one record. `undefined` deletes. */
export type RecordWrite =
  | { readonly kind: 'inode'; readonly ino: Ino; readonly record: InodeRecord | undefined }
  | {
      readonly kind: 'dentry';
      readonly parent: Ino;
      readonly name: Name;
      readonly ino: Ino;
      readonly type: number;
    }
  | { readonly kind: 'no-dentry'; readonly parent: Ino; readonly name: Name }
  | {
      readonly kind: 'xattr';
      readonly ino: Ino;
      readonly name: string;
      readonly value: Uint8Array | undefined;
    }
  | { readonly kind: 'orphan'; readonly ino: Ino; readonly present: boolean };

export interface Applied {
  readonly writes: readonly RecordWrite[];
  readonly invalidations: readonly Invalidation[];
  readonly result: CommandResult;
}
