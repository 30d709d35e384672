import type { Ino, Name } from '../core/index.js';
import type { LeaseMode } from './lease-mode.js';

/** A session's name, as on the wire: a decimal number that is never used again. */
export type SessionId = string;

export type LeaseNotice =
  | { readonly kind: 'entry'; readonly parent: Ino; readonly name: Name }
  | { readonly kind: 'inode'; readonly ino: Ino; readonly orphaned: boolean };

/** What a command has changed, as far as others may keep it. */
export interface LeaseChanges {
  readonly entries: readonly (readonly [parent: Ino, name: Name])[];
  readonly inodes: readonly { readonly ino: Ino; readonly orphaned: boolean }[];
}

/** What a recalled session may keep. */
export type RecallTarget = 'known' | 'read';

/**
 * What the caller has to do, in this order. Ids of recalls and notices are unique, never used again, and
 * acknowledged by `LeaseMachine.acknowledge`.
 */
export type LeaseEffect<Token> =
  | {
      readonly kind: 'recall';
      readonly session: SessionId;
      readonly recall: number;
      readonly ino: Ino;
      readonly to: RecallTarget;
    }
  | {
      readonly kind: 'notify';
      readonly session: SessionId;
      readonly notice: number;
      readonly notices: readonly LeaseNotice[];
    }
  /** An `acquire` or `exclude` has its mode: the caller evaluates the request anew and answers it. */
  | { readonly kind: 'granted'; readonly token: Token }
  /** Nobody can be shown any more what an `invalidate` declared void. */
  | { readonly kind: 'settled'; readonly token: Token }
  /** A session claims what conflicts with another's lease; it has `known` instead. */
  | { readonly kind: 'claim-refused'; readonly session: SessionId; readonly ino: Ino };

export interface LeaseHolder {
  readonly session: SessionId;
  readonly mode: LeaseMode;
  /** While a recall is under way: what will be left. */
  readonly recalledTo?: RecallTarget;
}

/** How many sessions want something of an inode. */
export interface LeaseContention {
  readonly holders: number;
  /** One of them holds `write`. */
  readonly written: boolean;
  readonly waiting: number;
}

/** Numbers of (inode, session) pairs by mode, `read` without those that have `write`, and of what is under way. */
export interface LeaseCounts {
  readonly known: number;
  readonly read: number;
  readonly write: number;
}
