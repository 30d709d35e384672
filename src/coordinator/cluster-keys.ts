import type { KvKey } from '../namespace/index.js';

/** The coordinator's own keys (doc/KEYS.md), beside those of the namespace and under the same prefix. */
export class ClusterKeys {
  readonly sessions: KvKey;
  readonly sites: KvKey;
  readonly health: KvKey;
  /** The next session's number: a counter, as in `meta/`. */
  readonly nextSession: KvKey;
  readonly #applied: KvKey;

  constructor(prefix: string) {
    this.sessions = `${prefix}sessions/`;
    this.sites = `${prefix}sites/`;
    this.health = `${prefix}health/`;
    this.nextSession = `${prefix}meta/next-session`;
    this.#applied = `${prefix}applied/`;
  }

  session(id: string): KvKey {
    return this.sessions + id;
  }

  site(name: string): KvKey {
    return this.sites + name;
  }

  /** The session is last, so that it can be read off whatever the names are: those are made to fit a key. */
  healthOf(site: string, member: string, session: string): KvKey {
    return `${this.health}${namePart(site)}/${namePart(member)}/${session}`;
  }

  /** What the session's commands did, as long as it may ask again. */
  appliedOf(session: string): KvKey {
    return `${this.#applied}${session}/`;
  }

  applied(session: string, number: number): KvKey {
    return `${this.#applied}${session}/${number}`;
  }
}

/** Of a name in a key: host names have at most 253 characters, and with prefix and session it stays below 1,978. */
const NAME_PART_MAX = 255;

/** Any text as ASCII without '/'; it stays as it is where it is made of letters, digits, `-`, `_` and `.`. */
const namePart = (name: string): string => encodeURIComponent(name).slice(0, NAME_PART_MAX);
