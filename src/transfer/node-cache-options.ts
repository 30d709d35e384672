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
}

/** What lay in staging when the node started. */
export interface RecoveredContent {
  readonly ino: Ino;
  readonly stat: ContentStat;
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
}

export interface BlockState {
  readonly index: number;
  readonly hash: string;
  /** Its bytes are in this node's cache. */
  readonly present: boolean;
  /** This node holds content for the file that is newer than the version. */
  readonly staged: boolean;
}
