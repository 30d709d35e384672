import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { EtcdKeys } from '../../src/coordinator/etcd/etcd-keys.js';
import type { KvWrite } from '../../src/namespace/index.js';
import { kvContract } from '../namespace/kv-contract.js';
import { EtcdRig, type Reign, type StoreOptions, until } from './etcd-rig.js';

const OPERATIONS_MAX = 1024;
let rig: EtcdRig;
beforeAll(async () => {
  rig = await EtcdRig.start({ flags: [`--max-txn-ops=${OPERATIONS_MAX}`] });
});
afterAll(() => rig.stop());

const put = (key: string, value: string): KvWrite => ({ key, value: Buffer.from(value) });
const putMany = (prefix: string, count: number): KvWrite[] =>
  Array.from({ length: count }, (_, index) => put(`${prefix}${index}`, 'x'));

kvContract('EtcdStore', async () => {
  const cluster = randomUUID();
  const options = { operationsMax: OPERATIONS_MAX };
  let reign = await rig.reign(rig.candidate({ cluster }), cluster, options);
  return {
    store: reign.store,
    reopen: async () => {
      await reign.store.close();
      await reign.term.resign();
      reign = await rig.reign(rig.candidate({ cluster }), cluster, options);
      return reign.store;
    },
    dispose: async () => {
      await reign.store.close();
      await reign.term.resign();
    },
  };
});

describe('EtcdStore', () => {
  const reigns: Reign[] = [];
  const begin = async (options: StoreOptions = {}): Promise<Reign & { cluster: string }> => {
    const cluster = randomUUID();
    const reign = await rig.reign(rig.candidate({ cluster }), cluster, options);
    reigns.push(reign);
    return { ...reign, cluster };
  };
  afterEach(async () => {
    jest.restoreAllMocks();
    for (const { store, term } of reigns.splice(0)) {
      await store.close();
      await term.resign();
    }
  });

  /** How many transactions the chain record counts. */
  const transactions = async (cluster: string): Promise<number> => {
    const { entry } = await rig.client().get(new EtcdKeys(cluster).chain);
    return Number(
      Buffer.from(entry?.value ?? [])
        .toString()
        .split('/')[1],
    );
  };
  const keysInEtcd = async (cluster: string): Promise<string[]> => {
    const keys = new EtcdKeys(cluster);
    const { entries } = await rig.client().range({ start: keys.start, end: keys.end, limit: 10_000 });
    return entries.flatMap(({ key }) => keys.fromEtcd(key) ?? []);
  };

  test('commits of one turn go in as few transactions as hold them, and none spans two', async () => {
    const { store, cluster } = await begin({ operationsMax: 128 });
    // 50 and 50 fit beside the chain record, a third does not.
    const commits = ['a', 'b', 'c', 'd', 'e'].map((prefix) => store.commit(putMany(prefix, 50)));
    expect(new Set(commits).size).toBe(3);
    await store.sync();
    expect(await transactions(cluster)).toBe(3);
    expect(await keysInEtcd(cluster)).toHaveLength(250);
  });

  test('of many writes of a key in one transaction the last one counts, encoded once', async () => {
    const { store, cluster } = await begin({ operationsMax: 4 });
    const encode = jest.fn(() => Buffer.from('last'));
    for (let index = 0; index < 100; index++) void store.commit([put('directory', `${index}`)]);
    await store.commit([{ key: 'directory', value: encode }]);
    await store.sync();
    expect(await transactions(cluster)).toBe(1);
    expect(encode).toHaveBeenCalledTimes(1);
    const { entry } = await rig.client().get(`/globalfs/${cluster}/directory`);
    expect(entry?.value.toString()).toBe('last');
  });

  test('transactions stay below one MiB', async () => {
    const { store, cluster } = await begin();
    const large = Buffer.alloc(64 * 1024, 'x');
    for (let index = 0; index < 32; index++) void store.commit([{ key: `xattr/${index}`, value: large }]);
    await store.sync();
    expect(await transactions(cluster)).toBe(3);
  });

  test('a commit that fits in no transaction is refused, and not shown; the store goes on', async () => {
    const { store, cluster } = await begin({ operationsMax: 128 });
    await expect(store.commit(putMany('many', 128))).rejects.toMatchObject({ code: 'E2BIG' });
    const large = { key: 'large', value: Buffer.alloc(1024 * 1024) };
    await expect(store.commit([large])).rejects.toMatchObject({ code: 'E2BIG' });
    expect([store.get('many0'), store.get('large')]).toEqual([undefined, undefined]);
    await store.commit(putMany('fits', 127));
    expect(await keysInEtcd(cluster)).toHaveLength(127);
  });

  test('deletions beyond the limit go as ranges, which spare what is between', async () => {
    const { store, cluster } = await begin({ operationsMax: 128 });
    for (let part = 0; part < 10; part++) await store.commit(putMany(`xattr/7/${part}`, 100));
    await store.commit([put('leaf', 'x'), put('xattr/7/4-stays', 'x'), put('xattr/8/0', 'x')]);
    const doomed = store.range({ start: 'xattr/7/', end: 'xattr/70' }).map(({ key }) => key);
    const deletions = doomed
      .filter((key) => key !== 'xattr/7/4-stays')
      .map((key) => ({ key, value: undefined }));
    // A range from `leaf` to the first of the others would take the chain record with it.
    const around = [put('xattr/7/5-new', 'x'), { key: 'leaf', value: undefined }];
    expect(deletions).toHaveLength(1000);
    await store.commit([...deletions, ...around]);
    const left = ['xattr/7/4-stays', 'xattr/7/5-new', 'xattr/8/0'];
    expect(await keysInEtcd(cluster)).toEqual(left);
    expect(store.range({ start: '', end: '\xff' }).map(({ key }) => key)).toEqual(left);
    await store.commit([put('after', 'x')]);
  });

  test('a write is pending until etcd has acknowledged it, and no longer', async () => {
    const { store } = await begin();
    const done = store.commit([put('a', '1')]);
    const pending = store.pendingCommit('a');
    expect(pending).toBeInstanceOf(Promise);
    expect(store.pendingCommit('b')).toBeUndefined();
    void store.commit([put('b', '1')]);
    await Promise.all([done, pending]);
    await store.sync();
    expect([store.pendingCommit('a'), store.pendingCommit('b')]).toEqual([undefined, undefined]);
  });

  test('who commits faster than etcd stores is asked to wait', async () => {
    const { store } = await begin({ operationsMax: 128 });
    expect(store.congestion()).toBeUndefined();
    for (let round = 0; round < 100; round++) void store.commit(putMany(`k${round}-`, 100));
    await new Promise(setImmediate);
    expect(store.congestion()).toBeInstanceOf(Promise);
    await store.sync();
    expect(store.congestion()).toBeUndefined();
  });

  test('commits in flight together are applied in the order they were made', async () => {
    const { store, cluster, client } = await begin({ operationsMax: 4, pipelineMax: 4 });
    const seen: string[] = [];
    const keys = new EtcdKeys(cluster);
    const { revision } = await client.get(keys.toEtcd('counter'));
    const watch = client.watch(
      { start: keys.toEtcd('counter'), end: keys.toEtcd('counter\0'), fromRevision: revision + 1n },
      {
        message: (message) => {
          if (message.kind !== 'events') return;
          for (const event of message.events) {
            seen.push(event.kind === 'put' ? Buffer.from(event.entry.value).toString() : '');
          }
        },
        closed: () => undefined,
      },
    );
    rig.atEnd(() => watch.cancel());
    for (let index = 0; index < 300; index++) {
      // Two further keys, so that each commit is a transaction.
      void store.commit([put('counter', `${index}`), put(`a${index}`, 'x'), put(`b${index}`, 'x')]);
      if (index % 3 === 0) await new Promise(setImmediate);
    }
    await store.sync();
    expect(await transactions(cluster)).toBe(300);
    await until(() => seen.length === 300);
    expect(seen).toEqual(Array.from({ length: 300 }, (_, index) => `${index}`));
  });
});
