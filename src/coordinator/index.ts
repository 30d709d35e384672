/**
 * The coordinator: who owns the namespace, and its client. Embedded, it lives in the mount's process.
 * Imports core, namespace, leases, policy, sites and transfer.
 */
export type * from './client.js';
export { EmbeddedClient } from './embedded-client.js';
export * from './etcd/index.js';
export { GrpcDialer, readTlsMaterial, type TlsMaterial } from './grpc/index.js';
export { LmdbStore, type LmdbStoreOptions } from './lmdb-store.js';
export { RemoteClient, type RemoteClientOptions, type RemoteClientReport } from './remote-client.js';
export type { NodeHealth, SessionRef } from './wire/index.js';
export type { LockFamily, LockRange, LockRequest } from '../leases/index.js';
