import type { CachedFile } from './cache-index.js';
import type { Manifest } from './manifest.js';
import type { BlockState } from './node-cache-options.js';
import type { NodeContent } from './node-content.js';
import { PresenceMap } from './presence.js';

interface Here {
  /** Open or staged. */
  readonly content: NodeContent | undefined;
  /** Clean, on the disk. */
  readonly cached: CachedFile | undefined;
  readonly presencePath: string;
}

/** The blocks of a version, and what this node has of them. */
export function describeBlocks(manifest: Manifest, here: Here): BlockState[] {
  const { content, cached } = here;
  const loaded =
    content === undefined && cached?.partial === true ? PresenceMap.load(here.presencePath) : undefined;
  const presence = content?.presence ?? loaded;
  const states: BlockState[] = [];
  for (const { index, hash } of manifest.blocks()) {
    const absent = presence === 'damaged' || presence?.has(index) === false;
    const present = !absent && (content !== undefined || cached !== undefined);
    states.push({ index, hash, present, staged: content?.staged === true });
  }
  if (loaded instanceof PresenceMap) loaded.close();
  return states;
}
