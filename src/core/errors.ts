import { constants } from 'node:os';
import { types } from 'node:util';

/** The closed set of codes. POSIX names mean what errno(3) says; the rest is below the line. */
export const GFS_ERROR_CODES = [
  'EACCES',
  'EAGAIN',
  'EBADF',
  'EBUSY',
  'EDEADLK',
  'EEXIST',
  'EFBIG',
  'EINTR',
  'EINVAL',
  'EIO',
  'EISDIR',
  'ELOOP',
  'EMLINK',
  'ENAMETOOLONG',
  'ENODATA',
  'ENODEV',
  'ENOENT',
  'ENOLCK',
  'ENOSPC',
  'ENOSYS',
  'ENOTDIR',
  'ENOTEMPTY',
  'ENXIO',
  'EOPNOTSUPP',
  'EOVERFLOW',
  'EPERM',
  'ERANGE',
  'EROFS',
  'ESTALE',
  'EXDEV',
  'E2BIG',
  // Not POSIX:
  'CORRUPT', // stored bytes do not match their hash, or a record cannot be decoded
  'UNAVAILABLE', // a server or store cannot be reached now; trying again may help
  'TIMEOUT', // the deadline passed; whether the work was done is not known
  'CANCELLED', // the caller gave up (AbortSignal)
  'CONFIG', // a setting, argument or file of the user's is wrong
  'INTERNAL', // a broken invariant: a bug of ours
] as const;

export type GfsErrorCode = (typeof GFS_ERROR_CODES)[number];

export interface GfsErrorOptions {
  cause?: unknown;
  /** Whether the same call may succeed later without anybody changing anything. */
  retryable?: boolean;
  /** What a reader of the log needs to find the place: ino, offset, path, hash, ... */
  context?: Readonly<Record<string, unknown>>;
}

/** The one error class. Adapters translate their vendor's errors into it where they meet them. */
export class GfsError extends Error {
  override readonly name = 'GfsError';
  readonly code: GfsErrorCode;
  readonly retryable: boolean;
  readonly context: Readonly<Record<string, unknown>>;

  constructor(code: GfsErrorCode, message: string, options: GfsErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? (code === 'UNAVAILABLE' || code === 'EAGAIN');
    this.context = options.context ?? {};
  }
}

type PosixCode = Extract<GfsErrorCode, keyof typeof constants.errno>;

/** Codes that are no errno of Linux, and the errno that a system call returns for them. */
const ERRNO_OF_OTHER: Record<Exclude<GfsErrorCode, PosixCode>, PosixCode> = {
  CORRUPT: 'EIO', // never wrong bytes
  UNAVAILABLE: 'EIO',
  TIMEOUT: 'EIO',
  CANCELLED: 'EINTR',
  CONFIG: 'EINVAL',
  INTERNAL: 'EIO',
};

/** The positive errno number that a system call reports for this code. */
export function errnoOf(code: GfsErrorCode): number {
  const posix = code in ERRNO_OF_OTHER ? ERRNO_OF_OTHER[code as keyof typeof ERRNO_OF_OTHER] : code;
  return constants.errno[posix as PosixCode];
}

/** Exit codes of the command line (doc/CLI.md lists them); 1 is "failed, and no other code says how". */
const EXIT_CODES: Record<GfsErrorCode, number> = {
  EACCES: 4,
  EAGAIN: 5, // trying again may help
  EBADF: 1,
  EBUSY: 5,
  EDEADLK: 1,
  EEXIST: 1,
  EFBIG: 1,
  EINTR: 1,
  EINVAL: 2, // the user's words are off
  EIO: 1,
  EISDIR: 1,
  ELOOP: 1,
  EMLINK: 1,
  ENAMETOOLONG: 1,
  ENODATA: 1,
  ENODEV: 1,
  ENOENT: 3,
  ENOLCK: 1,
  ENOSPC: 1,
  ENOSYS: 1,
  ENOTDIR: 3,
  ENOTEMPTY: 1,
  ENXIO: 1,
  EOPNOTSUPP: 1,
  EOVERFLOW: 1,
  EPERM: 4,
  ERANGE: 1,
  EROFS: 4,
  ESTALE: 1,
  EXDEV: 1,
  E2BIG: 1,
  CORRUPT: 6,
  UNAVAILABLE: 5,
  TIMEOUT: 5,
  CANCELLED: 130, // as a shell reports SIGINT
  CONFIG: 2,
  INTERNAL: 1,
};

export function exitCodeOf(code: GfsErrorCode): number {
  return EXIT_CODES[code];
}

/** Translates anything thrown, in particular Node's `ErrnoException`, into a GfsError. */
export function toGfsError(thrown: unknown): GfsError {
  if (thrown instanceof GfsError) return thrown;
  // `instanceof Error` is false for an error of another realm, as jest's sandbox sees Node's own.
  if (types.isNativeError(thrown)) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code !== undefined && (GFS_ERROR_CODES as readonly string[]).includes(code)) {
      return new GfsError(code as GfsErrorCode, thrown.message, { cause: thrown });
    }
    // EDQUOT is no code of ours: to the writer a full quota is a full disk.
    if (code === 'EDQUOT') return new GfsError('ENOSPC', thrown.message, { cause: thrown });
    if (thrown.name === 'AbortError') return new GfsError('CANCELLED', thrown.message, { cause: thrown });
    return new GfsError('EIO', thrown.message, { cause: thrown });
  }
  return new GfsError('INTERNAL', `thrown value is no Error: ${String(thrown)}`);
}
