import type { Clock, Logger } from '../core/index.js';
import { openStore, type SiteSpec, type SiteStore } from '../sites/index.js';
import type { SiteStores } from '../transfer/index.js';
import { problem } from './problem.js';

interface OpenedSite {
  /** The store's part of the specification, as text: when it changes the store is opened anew. */
  readonly spec: string;
  readonly store: Promise<SiteStore>;
}

/** The stores of a cluster's sites, as a node of one of them reaches them. Opened when they are first read. */
export class ClusterSites implements SiteStores {
  readonly name: string;
  readonly #sites: () => readonly SiteSpec[];
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #opened = new Map<string, OpenedSite>();

  /** @param sites as the coordinator has them now */
  constructor(name: string, sites: () => readonly SiteSpec[], parts: { clock: Clock; logger: Logger }) {
    this.name = name;
    this.#sites = sites;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
  }

  /** @throws GfsError CONFIG for a site that is not registered; what opening its store says */
  ownStore(): Promise<SiteStore> {
    const spec = this.#specOf(this.name);
    if (spec !== undefined) return this.#open(spec);
    const known = this.#sites().map(({ name }) => name);
    throw problem(
      'CONFIG',
      known.length === 0 ? 'the cluster has no sites yet' : `the cluster's sites are ${known.join(', ')}`,
      `site: ${this.name}`,
      `register it: globalfs site register ${this.name} --config site.yaml`,
    );
  }

  async storeOf(name: string): Promise<SiteStore | undefined> {
    const spec = this.#specOf(name);
    if (spec === undefined || spec.status === 'down') return undefined;
    return this.#open(spec);
  }

  async close(): Promise<void> {
    for (const { store } of this.#opened.values()) {
      // One that could not be opened has nothing to close; whoever asked for it was told.
      (await store.catch(() => undefined))?.close();
    }
    this.#opened.clear();
  }

  #specOf(name: string): SiteSpec | undefined {
    return this.#sites().find((site) => site.name === name);
  }

  #open(spec: SiteSpec): Promise<SiteStore> {
    const text = JSON.stringify(spec.store);
    const known = this.#opened.get(spec.name);
    if (known?.spec === text) return known.store;
    const store = openStore(spec, { clock: this.#clock, logger: this.#logger });
    this.#opened.set(spec.name, { spec: text, store });
    store.catch(() => this.#opened.delete(spec.name)); // the next one tries again
    return store;
  }
}
