/**
 * Content: blocks over an object store, the node's content cache, seal and fetch, and the upkeep of a
 * store (garbage, scrub). Imports core, sites, and the records of namespace.
 */
export { BlockStore, type BlockStoreOptions, type SiteStores } from './block-store.js';
export type * from './content.js';
export { NodeContentCache } from './content-cache.js';
export type {
  BlockState,
  ContentStats,
  NodeContentCacheOptions,
  Parallelism,
  RecoveredContent,
} from './node-cache-options.js';
export { collectGarbage, GARBAGE_GRACE_MS, type GarbageOptions, type GarbageReport } from './garbage.js';
export { type BlockDamage, scrub, type ScrubbedFile } from './scrub.js';
export { GarbageCollector } from './garbage-collector.js';
