import type { AdminApi } from '../coordinator/admin-api.js';
import { type GfsError, toGfsError } from '../core/errors.js';
import { problem } from './problem.js';

/** Administration of a cluster, through whichever coordinator leads. */
export interface AdminConnection {
  readonly api: AdminApi;
  close(): void;
}

/** The AdminApi of one coordinator. */
export type AdminDialer = (address: string) => AdminConnection;

/** A standby's word for where the leader is (`context.leader`), or nothing. */
function leaderIn({ context }: GfsError): string | undefined {
  return typeof context.leader === 'string' ? context.leader : undefined;
}

/** Whoever does not lead or does not answer is no reason to give up as long as another may. */
const elsewhere = ({ code }: GfsError): boolean => code === 'UNAVAILABLE' || code === 'TIMEOUT';

/** Asks one coordinator after the other, first the one that answered last, until one answers as the leader. */
export class LeaderFinder {
  readonly #coordinators: readonly string[];
  readonly #dial: AdminDialer;
  readonly #connections = new Map<string, AdminConnection>();
  #last: string | undefined;

  constructor(coordinators: readonly string[], dial: AdminDialer) {
    this.#coordinators = coordinators;
    this.#dial = dial;
  }

  /** @throws GfsError UNAVAILABLE naming what each said when none leads; else what the leader says */
  async ask<T>(question: (api: AdminApi) => Promise<T>): Promise<T> {
    const waiting = [...new Set([this.#last, ...this.#coordinators].filter((text) => text !== undefined))];
    const asked = new Set<string>();
    const refusals: string[] = [];
    for (let address = waiting.shift(); address !== undefined; address = waiting.shift()) {
      if (asked.has(address)) continue;
      asked.add(address);
      try {
        const answer = await question(this.#connection(address).api);
        this.#last = address;
        return answer;
      } catch (thrown) {
        const error = toGfsError(thrown);
        if (!elsewhere(error)) throw error;
        refusals.push(error.message.includes(address) ? error.message : `${address}: ${error.message}`);
        const leader = leaderIn(error);
        if (leader !== undefined) waiting.unshift(leader);
      }
    }
    throw problem(
      'UNAVAILABLE',
      'no coordinator answers as the leader',
      refusals.join('; '),
      "is 'globalfs coordinator start' running there? With TLS, name the certificates by --cluster globalfs.yaml",
    );
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  #connection(address: string): AdminConnection {
    let connection = this.#connections.get(address);
    if (connection === undefined) {
      connection = this.#dial(address);
      this.#connections.set(address, connection);
    }
    return connection;
  }
}

/** The AdminApi of whoever leads, by `finder`. */
export function leaderApi(finder: LeaderFinder): AdminApi {
  return {
    status: () => finder.ask((api) => api.status()),
    mounts: () => finder.ask((api) => api.mounts()),
    leases: (options) => finder.ask((api) => api.leases(options)),
    where: (path) => finder.ask((api) => api.where(path)),
    registerSite: (spec) => finder.ask((api) => api.registerSite(spec)),
    setSiteStatus: (name, status) => finder.ask((api) => api.setSiteStatus(name, status)),
    removeSite: (name) => finder.ask((api) => api.removeSite(name)),
  };
}
