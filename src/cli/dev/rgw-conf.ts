import { join } from 'node:path';

export interface RgwConf {
  readonly directory: string;
  readonly fsid: string;
  readonly monitorPort: number;
  readonly gatewayPort: number;
  readonly objectStore: 'memstore' | 'bluestore';
  /** What the OSD may hold. */
  readonly storeBytes: number;
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
}

/** Up to here the OSD of a development store caches (bluestore). */
const OSD_MEMORY_BYTES = 896 * 1024 * 1024;

/** The ceph.conf of a store with one monitor, one OSD and one gateway, all on loopback, without a manager. */
export function rgwConf(conf: RgwConf): string {
  const { directory: at } = conf;
  const frontend =
    conf.tls === undefined
      ? `endpoint=127.0.0.1:${conf.gatewayPort}`
      : `ssl_endpoint=127.0.0.1:${conf.gatewayPort} ssl_certificate=${conf.tls.certFile} ssl_private_key=${conf.tls.keyFile}`;
  return `[global]
fsid = ${conf.fsid}
mon_initial_members = a
mon_host = v2:127.0.0.1:${conf.monitorPort}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv4 = true
ms_bind_ipv6 = false
# Loopback only, so nothing authenticates; with auth off, the default 'secure' mode lets radosgw wait 300 s and die.
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_client_mode = crc
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 2000
# A nearly full disk is the developer's affair.
mon_data_avail_crit = 1
# Start takes 1.5 s instead of 13 s.
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
run_dir = ${join(at, 'run')}
admin_socket = ${join(at, 'run')}/$name.asok
pid_file = ${join(at, 'run')}/$name.pid
log_file = ${join(at, 'log')}/$name.log
crash_dir = ${join(at, 'run')}
[mon]
mon_data = ${join(at, 'mon')}
mon_cluster_log_file = ${join(at, 'log')}/cluster.log
[osd]
osd_data = ${join(at, 'osd')}
osd_objectstore = ${conf.objectStore}
memstore_device_bytes = ${conf.storeBytes}
memstore_page_size = 65536
bluestore_block_size = ${conf.storeBytes}
osd_memory_target = ${OSD_MEMORY_BYTES}
osd_op_num_shards = 4
# A frozen OSD stays in the map: its gateway waits for it, as for a hung disk.
mon_osd_min_down_reporters = 100
[client.rgw]
# Without tcp_nodelay every request takes 44 ms (Nagle and delayed acknowledgements).
rgw_frontends = beast ${frontend} tcp_nodelay=1
rgw_data = ${join(at, 'rgw')}
rgw_thread_pool_size = 64
rgw_enable_usage_log = false
rgw_enable_ops_log = false
rgw_run_sync_thread = false
rgw_gc_obj_min_wait = 60
rgw_dns_name = localhost
# Quotas count what is there now, not what was there minutes ago.
rgw_bucket_quota_ttl = 0
rgw_user_quota_bucket_sync_interval = 1
`;
}
