/**
 * The namespace: its records, the commands that change them, and the KV port it is kept in. Pure; the
 * same code runs in the coordinator and, under a write lease, in a mount. Imports core.
 */
export * from './commands.js';
export * from './kv-store.js';
export * from './records.js';
export * from './view.js';
