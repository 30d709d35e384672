/**
 * The sites' object stores: the port; its implementations on S3, on a directory and in memory; and what is
 * around a site's store: limits, retries, counts, secrets, health. Imports core.
 */
export * from './directory-store.js';
export * from './limited-store.js';
export * from './memory-store.js';
export * from './metered-store.js';
export type * from './object-store.js';
export * from './open-store.js';
export * from './retrying-store.js';
export * from './s3-store.js';
export type { S3Credentials } from './s3/signature.js';
export * from './secret.js';
export * from './site-probe.js';
export * from './site-spec.js';
export * from './store-health.js';
