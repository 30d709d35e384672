import { type Clock, GfsError, type Logger, errorFields, toGfsError } from '../../core/index.js';
import { endOfPrefix } from '../../namespace/index.js';
import type { CoordinatorReport } from '../admin-api.js';
import type { EtcdClient } from './etcd-client.js';
import { EtcdLease, pause } from './etcd-lease.js';
import type { EtcdKey } from './etcd-types.js';

export interface EtcdRosterOptions {
  readonly client: EtcdClient;
  readonly cluster: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a report says is at most as old as this, and a coordinator that died is listed for no longer than the TTL. */
const REFRESH_MS = 2000;
const TTL_MS = 10_000;
/** More coordinators than anybody runs: one leads, one or two stand by. */
const COORDINATORS_MAX = 100;

/**
 * Which coordinators there are: each keeps a report of itself in etcd, bound to a lease. The keys lie beside the
 * cluster's own, which nobody but the leader writes: `/globalfs-coordinators/<cluster>/<address>`.
 */
export class EtcdRoster {
  readonly #options: EtcdRosterOptions;
  readonly #prefix: EtcdKey;
  readonly #stopped = new AbortController();
  #announcing: Promise<void> | undefined;

  constructor(options: EtcdRosterOptions) {
    this.#options = options;
    this.#prefix = `/globalfs-coordinators/${options.cluster}/`;
  }

  /** Keeps the report of this process up to date until `stop`. */
  announce(report: () => Promise<CoordinatorReport>): void {
    this.#announcing ??= this.#announce(report);
  }

  /** @throws GfsError UNAVAILABLE, TIMEOUT, CORRUPT */
  async list(): Promise<CoordinatorReport[]> {
    const start = this.#prefix;
    const page = await this.#options.client.range({
      start,
      end: endOfPrefix(start),
      limit: COORDINATORS_MAX,
    });
    return page.entries.map(({ key, value }) => {
      try {
        return JSON.parse(Buffer.from(value).toString()) as CoordinatorReport;
      } catch (cause) {
        throw new GfsError('CORRUPT', `${key} in etcd is not JSON`, { cause });
      }
    });
  }

  /** This process is not listed any more. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#announcing;
  }

  async #announce(report: () => Promise<CoordinatorReport>): Promise<void> {
    const { client, clock, logger } = this.#options;
    const { signal } = this.#stopped;
    let lease: EtcdLease | undefined;
    while (!signal.aborted) {
      try {
        if (lease?.held() !== true) {
          lease = await EtcdLease.grant({ client, ttlMs: TTL_MS, clock, logger });
        }
        const now = await report();
        const put = this.#prefix + now.address;
        const value = Buffer.from(JSON.stringify(now));
        await client.transaction({
          compare: [],
          writes: [{ put, value, lease: lease.id }],
          otherwiseGet: [],
        });
      } catch (thrown) {
        logger.debug('etcd did not take the report of this coordinator', errorFields(toGfsError(thrown)));
      }
      await pause(clock, REFRESH_MS, signal);
    }
    await lease?.revoke(new GfsError('CANCELLED', 'this coordinator stops'));
  }
}
