import type { Ino } from '../../../src/core/index.js';
import type { LeaseMode, LeaseNotice } from '../../../src/leases/index.js';

/**
 * The wire's messages (src/coordinator/wire/messages.ts) without what leases do not depend on. In the place of
 * every value stands the number of the change that made it, so that a reader can be told what is older.
 */
export type Change = number;

/** The one directory of the model. */
export const DIRECTORY = 1 as Ino;

/** `content` is that of `version`. */
export interface ModelRecord {
  readonly ino: Ino;
  readonly attributes: Change;
  readonly content: Change;
  readonly version: number;
  readonly named: boolean;
}

/** `ino` is absent where the name means nothing. */
export interface ModelEntry {
  readonly change: Change;
  readonly ino?: Ino;
}

export type ModelCommand =
  | { readonly kind: 'create'; readonly name: string; readonly ino: Ino; readonly change: Change }
  | { readonly kind: 'unlink'; readonly name: string; readonly change: Change }
  | { readonly kind: 'rename'; readonly name: string; readonly newName: string; readonly change: Change }
  | { readonly kind: 'chmod' | 'truncate'; readonly ino: Ino; readonly change: Change }
  /** `restore` is a commit after a lost session: of what nobody has been shown since. */
  | {
      readonly kind: 'commit' | 'restore';
      readonly ino: Ino;
      readonly baseVersion: number;
      readonly change: Change;
    };

export type ModelRequest =
  | { readonly op: 'lookup'; readonly name: string }
  | { readonly op: 'inode'; readonly ino: Ino }
  | { readonly op: 'acquire'; readonly ino: Ino; readonly mode: 'read' | 'write' }
  | {
      readonly op: 'execute';
      readonly number: number;
      readonly keepWrite: boolean;
      readonly command: ModelCommand;
    };

export interface SentRecord {
  readonly record: ModelRecord;
  readonly leased: boolean;
  /** With another session's uncommitted content, if it has any. */
  readonly live?: Change;
}

export interface SentName {
  readonly name: string;
  readonly entry: ModelEntry;
  readonly leased: boolean;
}

export type ModelResult =
  | { readonly op: 'lookup'; readonly sent: SentName; readonly inode?: SentRecord }
  | { readonly op: 'inode' | 'acquire'; readonly inode: SentRecord }
  /** `failed`: nothing was changed, because the names are as they are told here. */
  | {
      readonly op: 'execute';
      readonly failed: boolean;
      readonly names: readonly SentName[];
      readonly inode?: SentRecord;
    }
  | { readonly op: 'stale' }
  /** Not from the coordinator: the session was lost before the answer came. */
  | { readonly op: 'lost' };

export interface ModelClaim {
  readonly ino: Ino;
  readonly mode: 'known' | 'write';
  /** The command that gives up the lease, if it has been applied. */
  readonly committing?: number;
}

export interface ModelSession {
  readonly id: string;
  readonly epoch: number;
}

export type ClientMessage =
  | {
      readonly kind: 'hello';
      readonly session?: ModelSession;
      /** Counts the streams of the session. */
      readonly connection: number;
      readonly claims: readonly ModelClaim[];
    }
  | { readonly kind: 'request'; readonly id: number; readonly request: ModelRequest }
  | { readonly kind: 'ack'; readonly id: number; readonly live?: Change }
  | { readonly kind: 'release'; readonly ino: Ino }
  | { readonly kind: 'heartbeat'; readonly beat: number };

export type ServerMessage =
  | { readonly kind: 'welcome'; readonly session: ModelSession; readonly resumed: boolean }
  | { readonly kind: 'reply'; readonly id: number; readonly result: ModelResult }
  | { readonly kind: 'notice'; readonly id: number; readonly notices: readonly LeaseNotice[] }
  | { readonly kind: 'recall'; readonly id: number; readonly ino: Ino; readonly to: 'known' | 'read' }
  | { readonly kind: 'query'; readonly id: number; readonly ino: Ino }
  | { readonly kind: 'heartbeat'; readonly beat: number };

export const LEVELS: Readonly<Record<LeaseMode, number>> = { known: 1, read: 2, write: 3 };
