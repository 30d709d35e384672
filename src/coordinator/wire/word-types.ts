import type { GfsErrorCode } from '../../core/index.js';
import type { LeaseMode, LockFamily, LockRequest } from '../../leases/index.js';
import type { RenameCommand, SetattrCommand, SetxattrCommand } from '../../namespace/index.js';
import type { SiteRole, SiteStatus } from '../../sites/index.js';
import { words } from './value-types.js';

/** The enums of globalfs.proto. A number is never given to another word. */

export const leaseMode = words<LeaseMode>({ known: 1, read: 2, write: 3 });
export const claimMode = words<Exclude<LeaseMode, 'read'>>({ known: 1, write: 3 });
export const recallMode = words<Exclude<LeaseMode, 'write'>>({ known: 1, read: 2 });

export const lockFamily = words<LockFamily>({ posix: 1, flock: 2 });
export const heldLockType = words<Exclude<LockRequest['type'], 'unlock'>>({ read: 1, write: 2 });
export const lockType = words<LockRequest['type']>({ read: 1, write: 2, unlock: 3 });

export const renameMode = words<RenameCommand['mode']>({ replace: 1, noreplace: 2, exchange: 3 });
export const xattrMode = words<SetxattrCommand['mode']>({ either: 1, create: 2, replace: 3 });
export const killPrivileges = words<NonNullable<SetattrCommand['killPrivileges']>>({
  all: 1,
  'suid-sgid': 2,
  capability: 3,
});

export const siteRole = words<SiteRole>({ primary: 1, burst: 2, backup: 3 });
export const siteStatus = words<SiteStatus>({ active: 1, draining: 2, down: 3 });

/** A code of a newer version is an error all the same: EIO. */
export const errorCode = words<GfsErrorCode>(
  {
    EACCES: 1,
    EAGAIN: 2,
    EBADF: 3,
    EBUSY: 4,
    EDEADLK: 5,
    EEXIST: 6,
    EFBIG: 7,
    EINTR: 8,
    EINVAL: 9,
    EIO: 10,
    EISDIR: 11,
    ELOOP: 12,
    EMLINK: 13,
    ENAMETOOLONG: 14,
    ENODATA: 15,
    ENODEV: 16,
    ENOENT: 17,
    ENOLCK: 18,
    ENOSPC: 19,
    ENOSYS: 20,
    ENOTDIR: 21,
    ENOTEMPTY: 22,
    ENXIO: 23,
    EOPNOTSUPP: 24,
    EOVERFLOW: 25,
    EPERM: 26,
    ERANGE: 27,
    EROFS: 28,
    ESTALE: 29,
    EXDEV: 30,
    E2BIG: 31,
    CORRUPT: 32,
    UNAVAILABLE: 33,
    TIMEOUT: 34,
    CANCELLED: 35,
    CONFIG: 36,
    INTERNAL: 37,
  },
  'EIO',
);
