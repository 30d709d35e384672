import { readFileSync } from 'node:fs';
import { GfsError } from '../core/index.js';
import {
  type Caller,
  InodeFlag,
  type InodeRecord,
  isDirectory,
  S_ISGID,
  S_ISUID,
  type SetattrCommand,
} from '../namespace/index.js';

const S_IXGRP = 0o010;

/** Who makes a system call, as the header of its request says. */
export interface CallingProcess extends Caller {
  /** Of the thread; 0 when it lives in a PID namespace that this process does not see. */
  readonly pid: number;
}

/** Whether the inode holds anything that a write, truncate or chown has to take away. */
export function needsKill(record: InodeRecord): boolean {
  if (isDirectory(record)) return false;
  return (record.mode & (S_ISUID | S_ISGID)) !== 0 || (record.flags & InodeFlag.hasCapability) !== 0;
}

/**
 * The part of a SETATTR command that takes away what of setuid, setgid and capabilities `caller` may not
 * leave on a file that it wrote, truncated or gave away. Setgid without group-execute stays where the caller
 * is of the file's group (setattr_should_drop_sgid in linux/fs/attr.c).
 */
export function privilegesLost(
  record: InodeRecord,
  what: 'all' | 'capability',
  caller: CallingProcess,
): Pick<SetattrCommand, 'killPrivileges' | 'killSetgid'> {
  if (!needsKill(record)) return {};
  const mandatoryLocking = (record.mode & (S_ISGID | S_IXGRP)) === S_ISGID;
  const killSetgid = what === 'all' && mandatoryLocking && caller.uid !== 0 && !isMember(caller, record.gid);
  return { killPrivileges: what, ...(killSetgid ? { killSetgid } : {}) };
}

/**
 * A chown that names neither owner asks for no permission, but what it takes away of the mode only the owner may
 * (ATTR_KILL_SUID in notify_change, linux/fs/attr.c).
 * @throws GfsError EPERM
 */
export function requireMayLoseSetid(record: InodeRecord, caller: CallingProcess): void {
  if (caller.uid === 0 || caller.uid === record.uid || isDirectory(record)) return;
  const { mode } = record;
  const setgidGoes = (mode & S_ISGID) !== 0 && ((mode & S_IXGRP) !== 0 || !isMember(caller, record.gid));
  if ((mode & S_ISUID) === 0 && !setgidGoes) return;
  throw new GfsError('EPERM', 'only the owner may take setuid and setgid away', {
    context: { ino: record.ino },
  });
}

const isMember = (caller: CallingProcess, gid: number): boolean =>
  caller.gid === gid || supplementaryGroups(caller.pid).includes(gid);

/** Requests carry one group only; the others are in proc(5). Rare enough to wait for: it is memory. */
function supplementaryGroups(pid: number): number[] {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return []; // the caller is gone, or not to be seen from here: nothing says that it is a member
  }
  const line = /^Groups:[ \t]*(.*)$/m.exec(status)?.[1] ?? '';
  return line.split(' ').filter(Boolean).map(Number);
}
