/**
 * The sites' object stores: the port, and its implementations on a directory and in memory. What runs on
 * S3 joins them here. Imports core.
 */
export * from './directory-store.js';
export * from './memory-store.js';
export type * from './object-store.js';
export * from './site-spec.js';
