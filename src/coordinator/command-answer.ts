import type { Ino } from '../core/index.js';
import {
  type Command,
  EMPTY_MANIFEST,
  type InodeRecord,
  type Namespace,
  NO_SOURCES,
  type RecordWrite,
  S_IFREG,
  isRegular,
} from '../namespace/index.js';
import type { Outcome } from './applied-commands.js';
import type { ExecuteRequest, InFlightCommand } from './in-flight-command.js';
import type { LeaseDesk } from './lease-desk.js';
import type { OpenRequest } from './open-request.js';
import type { Result, SentInode } from './wire/index.js';

interface Parts {
  readonly namespace: Namespace;
  readonly desk: LeaseDesk;
}

/** Whether a command makes a regular file: its author may write it from birth, for nobody else can know it yet. */
export function isBirth(inode: InodeRecord, { kind }: Command): boolean {
  return (kind === 'create' || kind === 'mknod' || kind === 'tmpfile') && isRegular(inode);
}

/**
 * The answer to a command that is stored and settled. The records are as the command left them; those that are
 * still so come with the lease that covers them.
 */
export function answerOf({ namespace, desk }: Parts, command: InFlightCommand): Result {
  const { executed, session } = command;
  const { machine } = desk;
  const leases = new Map<Ino, boolean>();
  /** Who did not know an orphan does not get to know it by unlinking it: else it would never be deleted. */
  const lease = (ino: Ino): boolean => {
    let leased = leases.get(ino);
    if (leased === undefined) {
      const lost = ino === executed.orphaned?.ino && machine.mode(session.id, ino) === undefined;
      leases.set(ino, (leased = !lost && machine.grant(session.id, ino, 'read')));
    }
    return leased;
  };
  const inode = sentInode({ namespace, desk }, command, lease);
  const isNow = (write: RecordWrite): boolean => {
    switch (write.kind) {
      case 'inode':
        return write.record !== undefined && namespace.inode(write.ino) === write.record;
      case 'dentry':
      case 'no-dentry': {
        const { parent, name } = write;
        const ino = write.kind === 'dentry' ? write.ino : undefined;
        // Changed and changed back is stored by halves while it is pending.
        return namespace.dentry(parent, name)?.ino === ino && !namespace.pendingEntryCommit(parent, name);
      }
      case 'xattr':
        // Each change of an xattr stamps its inode.
        return executed.writes.some(
          (other) => other.kind === 'inode' && other.ino === write.ino && isNow(other),
        );
      case 'orphan':
        return false;
    }
  };
  const leased = executed.writes.map((write) => {
    if (write.kind === 'orphan') return false;
    const covering = write.kind === 'inode' || write.kind === 'xattr' ? write.ino : write.parent;
    if (covering === inode.record.ino && !inode.leased) return false;
    return isNow(write) && lease(covering);
  });
  const answer = { op: 'execute', inode, writes: executed.writes, leased } as const;
  return executed.orphaned === undefined ? answer : { ...answer, orphaned: executed.orphaned };
}

/** Of a file that was just made, `leased` says that its author holds the write lease. */
function sentInode(
  { namespace, desk }: Parts,
  command: InFlightCommand,
  lease: (ino: Ino) => boolean,
): SentInode {
  const { machine } = desk;
  const { executed, session } = command;
  const { inode: record } = executed;
  const { ino } = record;
  const writer = machine.writerOf(ino);
  const volatile = writer !== undefined && writer !== session.id;
  const mayWrite = !isBirth(record, command.command) || machine.grant(session.id, ino, 'write');
  const leased = !volatile && mayWrite && namespace.inode(ino) === record && lease(ino);
  if (!leased && record.nlink > 0) machine.noteKnown(session.id, ino);
  return { record, leased, volatile };
}

/** The answer to a command that was applied before, and is asked again: the records as they are now, and none as written. */
export function answerOfRepeated(
  { namespace, desk }: Parts,
  request: OpenRequest<ExecuteRequest>,
  { ino, orphaned }: Extract<Outcome, { state: 'answered' }>,
): Result {
  const { machine } = desk;
  const { id } = request.session;
  const record = namespace.inode(ino);
  const writer = machine.writerOf(ino);
  const volatile = writer !== undefined && writer !== id;
  let leased = record !== undefined && record.nlink > 0 && !volatile;
  if (record !== undefined && leased) {
    leased = machine.grant(id, ino, 'read');
    if (!leased) machine.noteKnown(id, ino);
  }
  const inode = { record: record ?? deletedInode(ino), leased, volatile };
  const answer = { op: 'execute', inode, writes: [], leased: [] } as const;
  if (orphaned === undefined) return answer;
  return { ...answer, orphaned: namespace.inode(orphaned) ?? deletedInode(orphaned) };
}

/** What is left to say of an inode that was deleted after the command. */
function deletedInode(ino: Ino): InodeRecord {
  const never = 0n as InodeRecord['ctimeNs'];
  return {
    ino,
    mode: S_IFREG,
    uid: 0,
    gid: 0,
    nlink: 0,
    size: 0,
    allocatedBytes: 0,
    rdev: 0,
    atimeNs: never,
    mtimeNs: never,
    ctimeNs: never,
    btimeNs: never,
    flags: 0,
    version: 0,
    manifest: EMPTY_MANIFEST,
    sources: NO_SOURCES,
    target: '',
    parent: 0,
    entries: 0,
  };
}
