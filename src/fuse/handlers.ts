import type { Ino } from '../core/index.js';
import type { AttributeOperations } from './attributes.js';
import type { DirectoryOperations } from './directory-operations.js';
import { directoryHandlers } from './handlers-directory.js';
import { fileHandlers } from './handlers-file.js';
import { lockHandlers } from './handlers-lock.js';
import { nameHandlers } from './handlers-name.js';
import type { FileOperations } from './file-operations.js';
import type { LockOperations } from './lock-operations.js';
import type { NameOperations } from './name-operations.js';
import type { OpenTable } from './open-table.js';
import type { CallingProcess } from './privileges.js';
import type { Opcode } from './protocol/constants.js';
import type { FilesystemStatistics } from './protocol/reply.js';
import type { RequestReader } from './protocol/request.js';
import type { Replier } from './replier.js';
import type { XattrOperations } from './xattr-operations.js';

/**
 * Answers one request. The reader moves on when the handler returns: a handler reads all it needs of the
 * request before it first waits. What it throws, or rejects with, becomes the error reply.
 */
export type Handler = (request: RequestReader, unique: number) => void | Promise<void>;

export type HandlerTable = ReadonlyMap<Opcode, Handler>;

/** The operations that the handlers call. */
export interface Operations {
  readonly replier: Replier;
  readonly table: OpenTable;
  readonly attributes: AttributeOperations;
  readonly names: NameOperations;
  readonly files: FileOperations;
  readonly directories: DirectoryOperations;
  readonly xattrs: XattrOperations;
  readonly locks: LockOperations;
  /** Runs work that INTERRUPT of this request can end. */
  readonly interruptible: <T>(unique: number, work: (signal: AbortSignal) => Promise<T>) => Promise<T>;
  readonly statistics: () => Promise<FilesystemStatistics>;
  /** Everything that was written survives a power cut when it resolves. */
  readonly syncAll: () => Promise<void>;
}

export const nodeOf = (request: RequestReader): Ino => request.nodeid as Ino;

export const processOf = ({ uid, gid, pid }: RequestReader): CallingProcess => ({ uid, gid, pid });

export function makeHandlers(operations: Operations): HandlerTable {
  return new Map([
    ...nameHandlers(operations),
    ...fileHandlers(operations),
    ...directoryHandlers(operations),
    ...lockHandlers(operations),
  ]);
}
