import type { AdminApi } from '../coordinator/admin-api.js';
import { LeaderFinder, leaderApi } from './admin-connection.js';
import type { ClusterAddress } from './cluster.js';

/**
 * Works with the leader of a cluster, and hangs up.
 * @throws GfsError UNAVAILABLE when no coordinator answers as the leader
 */
export async function withCluster<T>(
  { coordinators, tls }: ClusterAddress,
  work: (api: AdminApi) => Promise<T>,
): Promise<T> {
  const { dialAdmin } = await import('./admin-dialer.js');
  const finder = new LeaderFinder(coordinators, await dialAdmin(tls));
  try {
    return await work(leaderApi(finder));
  } finally {
    finder.close();
  }
}
