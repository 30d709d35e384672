import type { KvKey } from '../namespace/index.js';

/** The coordinator's own keys (doc/KEYS.md), beside those of the namespace and under the same prefix. */
export class ClusterKeys {
  readonly sessions: KvKey;
  readonly sites: KvKey;
  /** The next session's number: a counter, as in `meta/`. */
  readonly nextSession: KvKey;
  readonly #applied: KvKey;

  constructor(prefix: string) {
    this.sessions = `${prefix}sessions/`;
    this.sites = `${prefix}sites/`;
    this.nextSession = `${prefix}meta/next-session`;
    this.#applied = `${prefix}applied/`;
  }

  session(id: string): KvKey {
    return this.sessions + id;
  }

  site(name: string): KvKey {
    return this.sites + name;
  }

  /** What the session's commands did, as long as it may ask again. */
  appliedOf(session: string): KvKey {
    return `${this.#applied}${session}/`;
  }

  applied(session: string, number: number): KvKey {
    return `${this.#applied}${session}/${number}`;
  }
}
