/**
 * The namespace: its records, the commands that change them, the pure `apply` that decides them, and the
 * KV port that it is kept in. `apply` runs alike in the coordinator and, under a write lease, in a mount;
 * `Namespace` is the shell around it over one store. Imports core.
 */
export { apply } from './apply.js';
export { decodeInode, encodeInode } from './codec.js';
export * from './commands.js';
export { checkNamespace } from './fsck.js';
export type { CheckOptions, NamespaceCheck, NamespaceProblem, NamespaceProblemKind } from './fsck-context.js';
export * from './kv-store.js';
export * from './limits.js';
export { MemoryStore } from './memory-store.js';
export { type Executed, Namespace, type NamespaceOptions, type OpenOptions } from './namespace.js';
export * from './records.js';
export { STORE_SCHEMA } from './store-schema.js';
export { SortedKeys } from './sorted-keys.js';
export * from './view.js';
export { TwoGenerationMap } from './two-generation-map.js';
