import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EtcdKeys, encodeChainLink } from '../../src/coordinator/etcd/etcd-keys.js';
import { EtcdWatch } from '../../src/coordinator/etcd/etcd-watch.js';
import { LmdbStore } from '../../src/coordinator/lmdb-store.js';
import { silentLogger, systemClock } from '../../src/core/index.js';
import { type KvStore, MemoryStore } from '../../src/namespace/index.js';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { type Candidate, EtcdRig, type Reign, until } from './etcd-rig.js';

let rig: EtcdRig;
beforeAll(async () => {
  rig = await EtcdRig.start();
});
afterAll(() => rig.stop());

const contents = (store: KvStore): string[] =>
  store
    .range({ start: '', end: '\xff' })
    .map(({ key, value }) => `${key}=${Buffer.from(value).toString('latin1')}`);
const put = (key: string, value: string) => ({ key, value: Buffer.from(value) });

interface Pair {
  readonly cluster: string;
  readonly leader: Reign;
  readonly standby: Candidate;
  readonly copy: KvStore;
  /** Before the standby's mirror; the standby stands for election without it. */
  readonly proxy: TcpProxy;
}

/** A leader, and a standby whose mirror follows over a connection of its own. */
async function pair(copy: KvStore = new MemoryStore()): Promise<Pair> {
  const cluster = randomUUID();
  const leader = await rig.reign(rig.candidate({ cluster }), cluster);
  const [proxy] = await rig.proxies();
  if (proxy === undefined) throw new Error('etcd has no member');
  const mirrorEndpoints = [`http://127.0.0.1:${proxy.port}`];
  const standby = rig.candidate({ cluster, mirrorEndpoints, store: copy, name: 'standby' });
  return { cluster, leader, standby, copy, proxy };
}

describe('EtcdMirror', () => {
  test('loads what is there, page by page, and follows what changes', async () => {
    const cluster = randomUUID();
    const leader = await rig.reign(rig.candidate({ cluster }), cluster);
    for (let index = 0; index < 2500; index++) void leader.store.commit([put(`inode/${index}`, `${index}`)]);
    await leader.store.sync();
    const copy = new MemoryStore();
    await copy.commit([put('from-before', 'x'), put('inode/7', 'old'), put('zz', 'x')]);
    const { mirror } = rig.candidate({ cluster, store: copy });
    await until(() => !mirror.behind());
    expect(contents(copy)).toEqual(contents(leader.store));
    await leader.store.commit([
      put('inode/1', 'new'),
      { key: 'inode/2', value: undefined },
      put('more', 'x'),
    ]);
    await until(() => copy.get('more') !== undefined);
    expect(contents(copy)).toEqual(contents(leader.store));
    await leader.term.resign();
  });

  test('a standby that is elected has everything that the last leader had acknowledged', async () => {
    const { cluster, leader, standby, copy, proxy } = await pair();
    await until(() => !standby.mirror.behind());
    for (let index = 0; index < 300; index++) void leader.store.commit([put(`k${index}`, `${index}`)]);
    await leader.store.sync();
    // It has yet to hear of most of that, in order, and late.
    proxy.delayMs = 20;
    proxy.bytesPerSecond = 200_000;
    for (let index = 0; index < 300; index++) void leader.store.commit([put(`k${index}`, `again ${index}`)]);
    const expected = contents(leader.store);
    await leader.store.close();
    await leader.term.resign();
    const next = await rig.reign(standby, cluster);
    expect(contents(copy)).toEqual(expected);
    await next.store.commit([put('k0', 'by the next')]);
    await next.term.resign();
  });

  test('a mirror on disk that is not synced, and empty at each start', async () => {
    const path = join(rig.directory, 'mirror');
    const earlier = LmdbStore.open({ path, durable: false });
    await earlier.commit([put('left', 'over')]);
    await earlier.close();
    const copy = LmdbStore.open({ path, durable: false });
    expect(contents(copy)).toEqual([]);
    const { cluster, leader, standby } = await pair(copy);
    for (let index = 0; index < 500; index++) void leader.store.commit([put(`k${index}`, `${index}`)]);
    await leader.store.close();
    const expected = contents(leader.store);
    await leader.term.resign();
    const next = await rig.reign(standby, cluster);
    expect(contents(next.store)).toEqual(expected);
    await next.store.commit([put('k0', 'by the next')]);
    expect(next.store.get('k0')?.toString()).toBe('by the next');
    await next.store.close();
    await next.term.resign();
    await copy.close();
  });

  test('history that it missed was compacted: it is read anew, without what was deleted meanwhile', async () => {
    const { leader, standby, copy, proxy, cluster } = await pair();
    await leader.store.commit([put('a', '1'), put('b', '1'), put('c', '1')]);
    await until(() => copy.get('c') !== undefined);
    proxy.cut();
    await until(() => standby.mirror.status().state === 'cut off');
    expect(standby.mirror.behind()).toBe(true);
    await leader.store.commit([{ key: 'b', value: undefined }]);
    await leader.store.commit([put('c', '2'), put('d', '1')]);
    const { revision } = await leader.client.get(new EtcdKeys(cluster).chain);
    await leader.client.compact(revision);
    proxy.heal();
    await until(() => copy.get('d') !== undefined && !standby.mirror.behind());
    expect(contents(copy)).toEqual(['a=1', 'c=2', 'd=1']);
    await leader.store.commit([put('e', '1')]);
    await until(() => copy.get('e') !== undefined);
    await leader.term.resign();
  });

  test('a gap in the chain of transactions shows that events were lost: it is read anew', async () => {
    const { leader, standby, copy, cluster } = await pair();
    await leader.store.commit([put('a', '1')]);
    await until(() => copy.get('a') !== undefined && !standby.mirror.behind());
    // As if the mirror had never heard of a deletion, and of the link that came with it.
    await copy.commit([put('deleted-since', 'x')]);
    const value = encodeChainLink({ term: leader.term.fence.createRevision, number: 3 });
    const writes = [{ put: new EtcdKeys(cluster).chain, value }];
    await leader.client.transaction({ compare: [], writes, otherwiseGet: [] });
    await until(() => copy.get('deleted-since') === undefined);
    expect(contents(copy)).toEqual(['a=1']);
    await leader.term.resign();
  });

  test('a silent connection is left', async () => {
    const { leader, standby, copy, proxy } = await pair();
    await until(() => !standby.mirror.behind());
    proxy.stall();
    await until(() => standby.mirror.status().state === 'cut off');
    await leader.store.commit([put('a', '1')]);
    proxy.heal();
    await until(() => copy.get('a') !== undefined);
    await leader.term.resign();
  });
});

describe('EtcdWatch', () => {
  test('cut at any byte of its replay, again and again, it delivers each event once, in order', async () => {
    const cluster = randomUUID();
    const keys = new EtcdKeys(cluster);
    const writer = rig.client();
    const [proxy] = await rig.proxies();
    if (proxy === undefined) throw new Error('etcd has no member');
    let written = 0;
    const write = async (): Promise<void> => {
      const value = Buffer.from(String(++written));
      const writes = [{ put: keys.toEtcd('k'), value }];
      await writer.transaction({ compare: [], writes, otherwiseGet: [] });
    };
    const { revision } = await writer.get(keys.toEtcd('k'));
    const seen: number[] = [];
    const watch = new EtcdWatch({
      client: rig.client({ endpoints: [`http://127.0.0.1:${proxy.port}`] }),
      start: keys.start,
      end: keys.end,
      fromRevision: revision + 1n,
      clock: systemClock,
      logger: silentLogger,
      onEvents: (events) => {
        for (const event of events) {
          if (event.kind === 'put') seen.push(Number(Buffer.from(event.entry.value).toString()));
        }
      },
      onCompacted: () => undefined,
    });
    rig.atEnd(() => watch.stop());
    await write();
    await until(() => seen.length === 1);
    // "created" comes some 150 to 250 bytes into a connection, the events after it: both are cut off at times.
    for (let bytesDown = 40; bytesDown < 560; bytesDown += 40) {
      proxy.cut();
      await write();
      await write();
      proxy.heal();
      proxy.cutAfter(bytesDown);
      await systemClock.sleep(150); // it connects, and is cut on the way
      await write();
      proxy.heal();
    }
    await until(() => seen.length >= written);
    expect(seen).toEqual(Array.from({ length: written }, (_, index) => index + 1));
  });
});
