import { type Clock, type Logger, errorFields, toGfsError } from '../../core/index.js';
import type { EtcdClient } from './etcd-client.js';
import type { EtcdKeys } from './etcd-keys.js';
import { pause } from './etcd-lease.js';
import type { Revision } from './etcd-types.js';

export interface CompactionOptions {
  readonly client: EtcdClient;
  readonly keys: EtcdKeys;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly everyMs: number;
}

/**
 * Gives up etcd's history that is older than one to two intervals, as Kubernetes does: etcd keeps all of it by
 * default, and stops taking writes at 2 GiB, which 300 transactions a second of 4 KB fill in half an hour. A mirror
 * that is cut off for longer reads everything anew.
 */
export async function compactHistory(options: CompactionOptions, signal: AbortSignal): Promise<void> {
  const { client, keys, clock, logger, everyMs } = options;
  let earlier: Revision | undefined;
  for (;;) {
    await pause(clock, everyMs, signal);
    if (signal.aborted) return;
    try {
      const { revision } = await client.get(keys.chain);
      if (earlier !== undefined) await client.compact(earlier);
      earlier = revision;
    } catch (thrown) {
      const error = toGfsError(thrown);
      // Somebody else, or etcd itself (--auto-compaction-retention), has compacted further.
      if (error.code !== 'ESTALE') logger.warn('etcd could not be compacted', errorFields(error));
    }
  }
}
