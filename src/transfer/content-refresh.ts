import * as fs from 'node:fs';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, invariant, native } from '../core/index.js';
import { BLOCK_BYTES } from '../namespace/index.js';
import type { BlockStore } from './block-store.js';
import type { CacheLayout } from './cache-layout.js';
import { removeFile } from './cache-layout.js';
import { Manifest } from './manifest.js';
import type { ContentBase, NodeContent } from './node-content.js';
import { PresenceMap } from './presence.js';

/**
 * Makes clean, open content another version: blocks that both versions have stay, all others are absent
 * and fetched when they are read. Nobody may read or write the content meanwhile.
 * @throws GfsError CORRUPT, UNAVAILABLE, EIO when the new manifest cannot be read; then nothing has changed
 */
export async function refreshContent(
  content: NodeContent,
  base: ContentBase,
  parts: { readonly blocks: BlockStore; readonly layout: CacheLayout },
): Promise<void> {
  invariant(!content.staged && content.fd >= 0, 'only clean, open content is refreshed', {
    ino: content.ino,
  });
  const next = await parts.blocks.loadManifest(base.manifest, base.sources);
  const before = await oldManifest(content, parts.blocks);
  // A block of the old version that arrived late would lie over the new one.
  while (content.inFlight.size > 0) await Promise.allSettled(content.inFlight.values());
  const kept = keptBlocks(content, before, next);
  content.presence?.close();
  content.presence = undefined;
  removeFile(parts.layout.presence(content.ino));
  clearOthers(content, kept, base.size);
  if (next.count > kept.size) {
    const presence = PresenceMap.create(parts.layout.presence(content.ino), base.size, next);
    for (const index of kept) presence.set(index);
    content.presence = presence;
  }
  content.base = base;
  content.manifest = next;
  content.linkedTo = undefined;
  content.recheck = false;
  content.unindexed = true;
}

/** Where the old version's manifest object is gone, nothing of it can be kept. */
async function oldManifest(content: NodeContent, blocks: BlockStore): Promise<Manifest> {
  if (content.manifest !== undefined) return content.manifest;
  try {
    return await blocks.loadManifest(content.base.manifest, content.base.sources);
  } catch {
    return Manifest.empty; // everything is fetched anew: slower, and right
  }
}

function keptBlocks(content: NodeContent, before: Manifest, next: Manifest): Set<number> {
  const kept = new Set<number>();
  for (const { index, hash } of next.blocks()) {
    const present = content.presence?.has(index) !== false && !content.recheck;
    if (present && before.hashOf(index) === hash) kept.add(index);
  }
  return kept;
}

/** Everything but the kept blocks becomes a hole, and the file gets its new size. */
function clearOthers(content: NodeContent, kept: ReadonlySet<number>, size: number): void {
  if (kept.size === 0) {
    fs.ftruncateSync(content.fd, 0);
  } else {
    const { size: oldSize } = fs.fstatSync(content.fd);
    const blocks = Math.ceil(oldSize / BLOCK_BYTES);
    for (let first = 0; first < blocks; first++) {
      if (kept.has(first)) continue;
      let end = first + 1;
      while (end < blocks && !kept.has(end)) end++;
      const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
      native.fallocate(content.fd, mode, first * BLOCK_BYTES, (end - first) * BLOCK_BYTES);
      first = end;
    }
  }
  fs.ftruncateSync(content.fd, size);
}
