import { GfsError } from '../core/index.js';
import { type KvStore, endOfPrefix } from '../namespace/index.js';
import type { SiteSpec, SiteStatus } from '../sites/index.js';
import type { ClusterKeys } from './cluster-keys.js';

/** The cluster's sites: `sites/<name>`, and a copy of all of them in memory (there are a handful). */
export class SiteRegistry {
  readonly #kv: KvStore;
  readonly #keys: ClusterKeys;
  readonly #sites = new Map<string, SiteSpec>();
  readonly #changed: (sites: readonly SiteSpec[]) => void;

  /**
   * @param changed called when a change is stored
   * @throws GfsError CORRUPT
   */
  constructor(kv: KvStore, keys: ClusterKeys, changed: (sites: readonly SiteSpec[]) => void) {
    this.#kv = kv;
    this.#keys = keys;
    this.#changed = changed;
    const prefix = keys.sites;
    for (const { key, value } of kv.range({ start: prefix, end: endOfPrefix(prefix) })) {
      const name = key.slice(prefix.length);
      this.#sites.set(name, decodeSite(name, value));
    }
  }

  list(): readonly SiteSpec[] {
    return [...this.#sites.values()];
  }

  has(name: string): boolean {
    return this.#sites.has(name);
  }

  /** @throws GfsError EEXIST for a name that stands for something else; what the store could not do */
  async register(spec: SiteSpec): Promise<void> {
    const present = this.#sites.get(spec.name);
    if (present !== undefined) {
      if (JSON.stringify(present) === JSON.stringify(spec)) return;
      throw new GfsError('EEXIST', `site ${spec.name} is registered already, as something else`);
    }
    await this.#put(spec);
  }

  /** @throws GfsError ENOENT; what the store could not do */
  async setStatus(name: string, status: SiteStatus): Promise<void> {
    const { role, store } = this.#get(name);
    await this.#put({ name, role, status, store });
  }

  /** Without asking who uses it. @throws GfsError ENOENT; what the store could not do */
  async remove(name: string): Promise<void> {
    this.#get(name);
    await this.#kv.commit([{ key: this.#keys.site(name), value: undefined }]);
    this.#sites.delete(name);
    this.#changed(this.list());
  }

  #get(name: string): SiteSpec {
    const spec = this.#sites.get(name);
    if (spec === undefined) throw new GfsError('ENOENT', `no site ${name}`);
    return spec;
  }

  async #put(spec: SiteSpec): Promise<void> {
    await this.#kv.commit([{ key: this.#keys.site(spec.name), value: Buffer.from(JSON.stringify(spec)) }]);
    this.#sites.set(spec.name, spec);
    this.#changed(this.list());
  }
}

function decodeSite(name: string, value: Uint8Array): SiteSpec {
  const text = Buffer.from(value).toString('utf8');
  try {
    const spec = JSON.parse(text) as SiteSpec;
    if (spec.name === name) return spec;
  } catch (cause) {
    throw new GfsError('CORRUPT', `the record of site ${name} is not JSON`, { cause });
  }
  throw new GfsError('CORRUPT', `the record of site ${name} has another name`);
}
