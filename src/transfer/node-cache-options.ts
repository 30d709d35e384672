import type { Clock, Ino, Logger } from '../core/index.js';
import type { KvStore } from '../namespace/index.js';
import type { BlockStore } from './block-store.js';
import type { CommitSealed, ContentStat } from './content.js';

export interface NodeContentCacheOptions {
  /** Of this node alone, on a local disk. */
  readonly directory: string;
  readonly blocks: BlockStore;
  /** The node's own key-value store. */
  readonly index: KvStore;
  readonly commit: CommitSealed;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Bound of the clean content that eviction can free. */
  readonly cacheBytes: number;
  /** Above it writers wait for the sealer. By default half of `cacheBytes`, at least 1 GiB. */
  readonly stagedBytesMax?: number;
  readonly sealDelayMs?: number;
  readonly parallel?: Parallelism;
  /**
   * Other nodes change files too. Then every change passes through this process (no file is handed to the
   * kernel), content is staged by its first change instead of by its open, and what is staged is what was
   * changed and not committed.
   */
  readonly shared?: {
    /** False when the inode is no more: nothing of it is stored. */
    readonly exists: (ino: Ino) => Promise<boolean>;
    /** Above the bound of what is staged writers wait for so long, then they get ENOSPC; undefined: for ever. */
    readonly fullAfterMs: number | undefined;
    /** Staged content that could not be published was put into the file at `path`. */
    readonly keptAside: (ino: Ino, path: string) => void;
  };
}

/** How much is under way at once between node and store: a store that is far away wants more. */
export interface Parallelism {
  /** Files of a batch that are sealed at once. */
  readonly files: number;
  /** Blocks of one file that are hashed and stored at once, 4 MiB each. */
  readonly blocks: number;
  /** Blocks that are fetched at once, by all readers together. */
  readonly fetches: number;
}

/** For a directory on the node's own disk: keeps two workers and the disk busy. */
export const LOCAL_PARALLELISM: Parallelism = { files: 1, blocks: 4, fetches: 6 };

/** What lay in staging when the node started. */
export interface RecoveredContent {
  readonly ino: Ino;
  readonly stat: ContentStat;
  /** The version that it was to replace; NaN when that is not known. */
  readonly baseVersion: number;
}

export interface ContentStats {
  readonly cachedBytes: number;
  readonly cacheBytesMax: number;
  readonly stagedBytes: number;
  readonly stagedBytesMax: number;
  /** Contents that are open or staged. */
  readonly live: number;
  /** Closed and not yet sealed. */
  readonly queued: number;
  /** Files that were put aside because somebody else's version came first, and are there still. */
  readonly conflicts: number;
}

export interface BlockState {
  readonly index: number;
  readonly hash: string;
  /** Its bytes are in this node's cache. */
  readonly present: boolean;
  /** This node holds content for the file that is newer than the version. */
  readonly staged: boolean;
}
