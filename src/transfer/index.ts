/**
 * Content: blocks over an object store, the node's content cache, seal and fetch, and the upkeep of a
 * store (garbage, scrub). Imports core, sites, and the records of namespace.
 */
export type * from './content.js';
