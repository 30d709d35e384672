/**
 * The metadata store on etcd: its client, the election of one leader, the mirror that every coordinator keeps,
 * and the leader's KvStore over it. Imports core, namespace, and the KV port.
 *
 * A coordinator makes, in this order: `EtcdClient`; `EtcdElection` and `EtcdMirror`, which observe at once;
 * then `term = await election.campaign()`, `new EtcdStore({ term, mirror: await mirror.handOver(term) })`. When
 * `store.failed` resolves, the store and all that was built on it are dropped, and it begins with a new `EtcdMirror`.
 */
export { EtcdClient, type EtcdClientOptions, type EtcdTls } from './etcd-client.js';
export {
  EtcdElection,
  type EtcdElectionOptions,
  type EtcdTerm,
  type Fence,
  type Leader,
} from './etcd-election.js';
export { EtcdKeys } from './etcd-keys.js';
export { EtcdMirror, type EtcdMirrorOptions, type MirrorStatus } from './etcd-mirror.js';
export { EtcdStore, type EtcdStoreOptions } from './etcd-store.js';
