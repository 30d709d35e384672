import { randomInt, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EtcdKeys } from '../../src/coordinator/etcd/etcd-keys.js';
import { systemClock } from '../../src/core/index.js';
import { Counters } from './etcd-counters.js';
import { EtcdRig, type Reign, until } from './etcd-rig.js';

describe('three members of etcd under load', () => {
  let rig: EtcdRig;
  beforeAll(async () => {
    rig = await EtcdRig.start({ members: 3 });
  });
  afterAll(() => rig.stop());

  const load = async (): Promise<{ reign: Reign; counters: Counters }> => {
    const cluster = randomUUID();
    const reign = await rig.reign(rig.candidate({ cluster }), cluster);
    const counters = new Counters(reign.store, cluster);
    counters.start();
    await counters.more(200);
    return { reign, counters };
  };
  const end = async ({ reign, counters }: { reign: Reign; counters: Counters }): Promise<void> => {
    await counters.stop();
    await counters.check(rig.client());
    await reign.store.close();
    await reign.term.resign();
  };

  test('its leader is killed: no acknowledged commit is lost, none is applied twice', async () => {
    const running = await load();
    const leader = await rig.server.leader();
    await leader.kill();
    await running.counters.more(200);
    await leader.start();
    await rig.server.ready();
    await running.counters.more(200);
    await end(running);
  });

  test('its leader is frozen, and thaws: no acknowledged commit is lost, none is applied twice', async () => {
    const running = await load();
    const leader = await rig.server.leader();
    leader.freeze();
    await running.counters.more(200);
    leader.thaw();
    await running.counters.more(200);
    await end(running);
  });

  test('two of three are gone for a while: commits wait, and go on', async () => {
    const running = await load();
    const leader = await rig.server.leader();
    const gone = rig.server.members.filter((member) => member !== leader);
    for (const member of gone) member.freeze();
    await systemClock.sleep(2000);
    const before = running.counters.acknowledged;
    await systemClock.sleep(500);
    expect(running.counters.acknowledged).toBe(before);
    for (const member of gone) member.thaw();
    await running.counters.more(200);
    await end(running);
  });
});

describe('a connection to etcd that is cut', () => {
  let rig: EtcdRig;
  beforeAll(async () => {
    rig = await EtcdRig.start();
  });
  afterAll(() => rig.stop());

  const begin = async () => {
    const cluster = randomUUID();
    const [proxy] = await rig.proxies();
    if (proxy === undefined) throw new Error('etcd has no member');
    const endpoints = [`http://127.0.0.1:${proxy.port}`];
    const reign = await rig.reign(rig.candidate({ cluster, endpoints }), cluster);
    return { cluster, proxy, direct: rig.client(), keys: new EtcdKeys(cluster), ...reign };
  };

  test('after the transaction arrived and before the answer: it is recognised as applied', async () => {
    const { store, term, proxy, direct, keys } = await begin();
    await store.commit([{ key: 'k', value: Buffer.from('1') }]);
    proxy.stall('down');
    const done = store.commit([{ key: 'k', value: Buffer.from('2') }]);
    let applied = 0n;
    await until(async () => {
      const { entry } = await direct.get(keys.toEtcd('k'));
      applied = entry?.modRevision ?? 0n;
      return entry?.value.toString() === '2';
    });
    proxy.cut();
    proxy.heal();
    await done;
    const { entry } = await direct.get(keys.toEtcd('k'));
    expect(entry?.modRevision).toBe(applied);
    await store.close();
    await term.resign();
  });

  test('before the transaction arrived: it is sent again', async () => {
    const { store, term, proxy, direct, keys } = await begin();
    await store.commit([{ key: 'k', value: Buffer.from('1') }]);
    proxy.stall('up');
    const done = store.commit([{ key: 'k', value: Buffer.from('2') }]);
    await systemClock.sleep(100);
    proxy.cut();
    proxy.heal();
    await done;
    const { entry } = await direct.get(keys.toEtcd('k'));
    expect(entry?.value.toString()).toBe('2');
    await store.close();
    await term.resign();
  });

  test('at any time, many times, with transactions in flight: each commit is applied once, in order', async () => {
    const { store, term, proxy, cluster, direct } = await begin();
    const counters = new Counters(store, cluster);
    counters.start();
    for (let round = 0; round < 15; round++) {
      await counters.more(randomInt(100));
      if (round % 2 === 0) proxy.cut();
      else proxy.cutAfter(randomInt(500));
      await systemClock.sleep(randomInt(30));
      proxy.heal();
    }
    await counters.stop();
    await counters.check(direct);
    await store.close();
    await term.resign();
  });
});
