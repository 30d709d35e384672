import { expect } from '@jest/globals';
import type { EtcdClient } from '../../src/coordinator/etcd/etcd-client.js';
import { EtcdKeys } from '../../src/coordinator/etcd/etcd-keys.js';
import { EtcdWatch } from '../../src/coordinator/etcd/etcd-watch.js';
import { silentLogger, systemClock } from '../../src/core/index.js';
import type { KvStore } from '../../src/namespace/index.js';
import { retried, until } from './etcd-rig.js';

/**
 * Writers that count, each its own counter, and what etcd's history must show of them afterwards: each
 * counter took each value once, in order, up to at least the last one that was acknowledged.
 */
export class Counters {
  readonly #store: KvStore;
  readonly #acknowledged: number[];
  readonly #cluster: string;
  #stopping = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(store: KvStore, cluster: string, writers = 16) {
    this.#store = store;
    this.#cluster = cluster;
    this.#acknowledged = new Array<number>(writers).fill(0);
  }

  get acknowledged(): number {
    return this.#acknowledged.reduce((sum, count) => sum + count, 0);
  }

  start(): void {
    this.#running = Promise.all(this.#acknowledged.map((_, writer) => this.#count(writer)));
    this.#running.catch(() => undefined); // told by `stop`, unless the test has failed before
  }

  /** Waits for the last acknowledgements. Rejects when a commit was. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  /** Waits until so many more have been acknowledged. */
  async more(count: number): Promise<void> {
    const goal = this.acknowledged + count;
    await until(() => this.acknowledged >= goal);
  }

  async check(client: EtcdClient): Promise<void> {
    const seen = await this.#history(client);
    for (const [writer, last] of this.#acknowledged.entries()) {
      const values = seen.get(`counter/${writer}`) ?? [];
      expect(values).toEqual(Array.from({ length: values.length }, (_, index) => index + 1));
      expect(values.length).toBeGreaterThanOrEqual(last);
    }
  }

  async #count(writer: number): Promise<void> {
    for (let value = 1; !this.#stopping; value++) {
      const encoded = Buffer.from(String(value));
      await this.#store.commit([
        { key: `counter/${writer}`, value: encoded },
        { key: `beside/${writer}/${value % 10}`, value: encoded },
      ]);
      this.#acknowledged[writer] = value;
    }
  }

  /** Every value that each counter had, from the first revision on. */
  async #history(client: EtcdClient): Promise<Map<string, number[]>> {
    const keys = new EtcdKeys(this.#cluster);
    const mark = keys.toEtcd('counter/mark');
    const written = { put: mark, value: Buffer.from('0') };
    await retried(() => client.transaction({ compare: [], writes: [written], otherwiseGet: [] }));
    const seen = new Map<string, number[]>();
    const watch = new EtcdWatch({
      client,
      start: keys.toEtcd('counter/'),
      end: keys.toEtcd('counter0'),
      fromRevision: 1n,
      clock: systemClock,
      logger: silentLogger,
      onEvents: (events) => {
        for (const event of events) {
          if (event.kind === 'delete') throw new Error('no counter is ever deleted');
          const key = keys.fromEtcd(event.entry.key) ?? '';
          const values = seen.get(key) ?? [];
          values.push(Number(Buffer.from(event.entry.value).toString()));
          seen.set(key, values);
        }
      },
      onCompacted: () => undefined,
    });
    try {
      await until(() => seen.has('counter/mark'));
    } finally {
      watch.stop();
    }
    return seen;
  }
}
