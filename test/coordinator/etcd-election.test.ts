import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { EtcdKeys } from '../../src/coordinator/etcd/etcd-keys.js';
import type { EtcdTransactionAnswer } from '../../src/coordinator/etcd/etcd-types.js';
import { type Clock, systemClock } from '../../src/core/index.js';
import { EtcdRig, until } from './etcd-rig.js';

/** The least that etcd grants is 2 s (1.5 election timeouts, rounded up). */
const SHORT_TTL_MS = 3000;
const PATIENCE_MS = 60_000;

let rig: EtcdRig;
beforeAll(async () => {
  rig = await EtcdRig.start();
});
afterAll(() => rig.stop());

/** An endpoint of etcd behind a proxy of its own. */
async function behindProxy(): Promise<{ proxy: TcpProxyLike; endpoints: string[] }> {
  const [proxy] = await rig.proxies();
  if (proxy === undefined) throw new Error('etcd has no member');
  return { proxy, endpoints: [`http://127.0.0.1:${proxy.port}`] };
}
type TcpProxyLike = Awaited<ReturnType<EtcdRig['proxies']>>[number];

describe('EtcdElection', () => {
  test('one leads, the others know who; when it resigns, one of them does at once', async () => {
    const cluster = randomUUID();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => rig.candidate({ cluster, name }).election);
    if (a === undefined || b === undefined || c === undefined) throw new Error('three candidates');
    const first = await a.campaign(AbortSignal.timeout(PATIENCE_MS));
    const later = [b, c].map((each) => each.campaign(AbortSignal.timeout(PATIENCE_MS)));
    await until(() => b.leader()?.address === 'a:7400' && c.leader()?.address === 'a:7400');
    expect(first.held()).toBe(true);
    await first.resign();
    expect([first.held(), first.lost.aborted]).toEqual([false, true]);
    const second = await Promise.race(later);
    expect(second.fence.createRevision).toBeGreaterThan(first.fence.createRevision);
    await until(() => a.leader() !== undefined && a.leader()?.address !== 'a:7400');
    await second.resign();
    for (const term of await Promise.all(later)) await term.resign();
  });

  test('many candidates at once: never two terms at a time', async () => {
    const cluster = randomUUID();
    let leading = 0;
    let terms = 0;
    const serve = async (name: string): Promise<void> => {
      const { election } = rig.candidate({ cluster, name });
      for (let round = 0; round < 3; round++) {
        const term = await election.campaign(AbortSignal.timeout(PATIENCE_MS));
        leading++;
        terms++;
        expect(leading).toBe(1);
        await systemClock.sleep(5);
        leading--;
        await term.resign();
      }
    };
    await Promise.all(['a', 'b', 'c', 'd', 'e'].map(serve));
    expect(terms).toBe(15);
  });

  test('a campaign that is given up leaves nothing behind', async () => {
    const cluster = randomUUID();
    const a = rig.candidate({ cluster, name: 'a' });
    const term = await a.election.campaign(AbortSignal.timeout(PATIENCE_MS));
    const b = rig.candidate({ cluster, name: 'b' });
    const giveUp = new AbortController();
    const campaign = b.election.campaign(giveUp.signal);
    giveUp.abort();
    await expect(campaign).rejects.toMatchObject({ code: 'CANCELLED' });
    await term.resign();
    await until(() => b.election.leader() === undefined);
  });

  test('a term ends when the leader key is deleted by hand', async () => {
    const cluster = randomUUID();
    const { election, client } = rig.candidate({ cluster });
    const term = await election.campaign(AbortSignal.timeout(PATIENCE_MS));
    await client.transaction({ compare: [], writes: [{ delete: term.fence.key }], otherwiseGet: [] });
    await until(() => term.lost.aborted);
    expect(term.held()).toBe(false);
  });

  test("a leader that is cut off gives up before etcd gives its key up, by its own clock's deadline", async () => {
    const cluster = randomUUID();
    const { proxy, endpoints } = await behindProxy();
    const a = rig.candidate({ cluster, endpoints, ttlMs: SHORT_TTL_MS, name: 'a' });
    const b = rig.candidate({ cluster, name: 'b' });
    const term = await a.election.campaign(AbortSignal.timeout(PATIENCE_MS));
    await until(() => b.election.leader() !== undefined);
    let vacantMs = Infinity;
    const vacant = new Promise<void>((resolve) => {
      b.election.observe((leader) => {
        if (leader !== undefined) return;
        vacantMs = systemClock.monotonicMs();
        resolve();
      });
    });
    // It is renewed while the connection is good.
    const grantedMs = term.deadlineMs();
    await until(() => term.deadlineMs() > grantedMs);
    proxy.stall();
    await vacant;
    expect(term.held()).toBe(false);
    expect(term.deadlineMs()).toBeLessThan(vacantMs);
    await until(() => term.lost.aborted);
  });
});

describe('a leader that was replaced', () => {
  test('cannot write: what was on its way arrives late, is refused, and was rejected', async () => {
    const cluster = randomUUID();
    const { proxy, endpoints } = await behindProxy();
    const candidate = rig.candidate({ cluster, endpoints, ttlMs: SHORT_TTL_MS, callMs: PATIENCE_MS });
    const a = await rig.reign(candidate, cluster);
    const b = rig.candidate({ cluster, name: 'b' });
    await a.store.commit([{ key: 'who', value: Buffer.from('a') }]);
    const transaction = jest.spyOn(a.client, 'transaction');
    proxy.stall();
    const late = a.store.commit([{ key: 'who', value: Buffer.from('late') }]);
    const rejected = expect(late).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    const reign = await rig.reign(b, cluster);
    await rejected;
    expect(await a.store.failed).toMatchObject({ code: 'UNAVAILABLE' });
    await expect(a.store.commit([])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    // Its request has been under way all the time, and reaches etcd now, before the next leader has written.
    proxy.heal();
    const answer = (await transaction.mock.results[0]?.value) as EtcdTransactionAnswer;
    expect(answer.succeeded).toBe(false);
    await reign.store.commit([{ key: 'by', value: Buffer.from('b') }]);
    const { entry } = await b.client.get(new EtcdKeys(cluster).toEtcd('who'));
    expect(Buffer.from(entry?.value ?? []).toString()).toBe('a');
    await reign.store.close();
    await reign.term.resign();
  });

  test('cannot write even while its clock stands still, as after a pause of the whole process', async () => {
    const cluster = randomUUID();
    const { proxy, endpoints } = await behindProxy();
    const stopped: { atMs?: number } = {};
    const clock: Clock = { ...systemClock, monotonicMs: () => stopped.atMs ?? systemClock.monotonicMs() };
    const candidate = rig.candidate({ cluster, endpoints, ttlMs: SHORT_TTL_MS, clock });
    const a = await rig.reign(candidate, cluster, { clock });
    await a.store.commit([{ key: 'who', value: Buffer.from('a') }]);
    stopped.atMs = systemClock.monotonicMs();
    proxy.stall();
    const b = await rig.reign(rig.candidate({ cluster, name: 'b' }), cluster);
    await b.store.commit([{ key: 'who', value: Buffer.from('b') }]);
    expect(a.term.held()).toBe(true); // as far as it knows
    const late = a.store.commit([{ key: 'who', value: Buffer.from('late') }]);
    const rejected = expect(late).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    proxy.heal();
    await rejected;
    expect(a.term.lost.aborted).toBe(true);
    const { entry } = await b.client.get(new EtcdKeys(cluster).toEtcd('who'));
    expect(entry?.value.toString()).toBe('b');
    await b.store.close();
    await b.term.resign();
  });
});
