import type { Ino } from '../core/index.js';
import type { CacheIndex } from './cache-index.js';
import { type CacheLayout, removeFile } from './cache-layout.js';

/**
 * After an unclean end: deletes cache files that no entry of the index vouches for, and presence maps that
 * belong to nothing. What is in `staged` waits for its inode.
 */
export async function deleteUnindexed(
  layout: CacheLayout,
  index: CacheIndex,
  staged: ReadonlySet<Ino>,
): Promise<void> {
  for (const inos of layout.inodes('cache')) {
    for (const ino of inos) if (index.get(ino) === undefined) removeFile(layout.cache(ino));
    await new Promise(setImmediate);
  }
  for (const inos of layout.inodes('present')) {
    for (const ino of inos) {
      if (!staged.has(ino) && index.get(ino) === undefined) removeFile(layout.presence(ino));
    }
    await new Promise(setImmediate);
  }
}
