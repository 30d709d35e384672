import { afterEach, describe, expect, test } from '@jest/globals';
import { HEALTH_STORE_MS, type StoredHealth } from '../../src/coordinator/health-records.js';
import type { NodeHealth } from '../../src/coordinator/wire/index.js';
import { type KvStore, MemoryStore } from '../../src/namespace/index.js';
import { HoldingStore } from './holding-store.js';
import { Cluster, type ScriptedMount, TTL_MS } from './scripted-mount.js';
import { turns } from './stepped-clock.js';

const clusters: Cluster[] = [];
afterEach(() => {
  for (const cluster of clusters.splice(0)) cluster.stop();
});

async function start(kv?: KvStore): Promise<Cluster> {
  const cluster = await Cluster.start(kv);
  clusters.push(cluster);
  return cluster;
}

const healthOf = (cpuLoad: number, more: Partial<NodeHealth> = {}): NodeHealth => ({
  cpuLoad,
  ...{ freeBytes: 5_000_000, storeReachable: true, storeLatencyMs: 3.5, cachedBytes: 10, stagedBytes: 20 },
  ...{ conflicts: 0, requests: { lookup: 7 } },
  ...more,
});

let beats = 0;
async function say(mount: ScriptedMount, health?: NodeHealth): Promise<void> {
  mount.say({ kind: 'heartbeat', beat: ++beats, ...(health === undefined ? {} : { health }) });
  await turns();
}

/** What the store has, by key. */
function stored({ kv }: Cluster): Map<string, StoredHealth> {
  const entries = kv.range({ start: 'health/', end: 'health0' });
  return new Map(
    entries.map(({ key, value }) => [key, JSON.parse(Buffer.from(value).toString()) as StoredHealth]),
  );
}

const shown = async ({ coordinator }: Cluster): Promise<(NodeHealth | null)[]> =>
  (await coordinator.admin.mounts()).map(({ health }) => health);

describe('the health of a mount', () => {
  test('is stored by site, member and session, until when it holds', async () => {
    const cluster = await start();
    const a = await cluster.mount('node1.example');
    const nowMs = cluster.clock.wallMs();
    await say(a, healthOf(0.5));
    const untilMs = nowMs + HEALTH_STORE_MS + TTL_MS * 1.1;
    expect([...stored(cluster)]).toEqual([
      [`health/here/node1.example/${a.session}`, { session: a.session, untilMs, ...healthOf(0.5) }],
    ]);
  });

  test('is stored once in a while, and shown as it was said last', async () => {
    const cluster = await start();
    const a = await cluster.mount('a');
    const loads: number[] = [];
    for (let load = 0; load < 11; load++) {
      await say(a, healthOf(load));
      loads.push(stored(cluster).get(`health/here/a/${a.session}`)?.cpuLoad ?? -1);
      await cluster.clock.advance(HEALTH_STORE_MS / 5);
    }
    expect(loads).toEqual([0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 10]);
    await say(a, healthOf(11));
    expect(await shown(cluster)).toEqual([healthOf(11)]);
  });

  test('of a mount that says no more how it is goes when its time is over', async () => {
    const cluster = await start();
    const a = await cluster.mount('a');
    await say(a, healthOf(1));
    for (let passedMs = 0; passedMs < HEALTH_STORE_MS + TTL_MS; passedMs += TTL_MS / 2) {
      expect(stored(cluster).size).toBe(1);
      await say(a);
      await cluster.clock.advance(TTL_MS / 2);
    }
    await say(a);
    await cluster.clock.advance(TTL_MS / 2);
    expect(stored(cluster).size).toBe(0);
    expect(await shown(cluster)).toEqual([null]);
    await say(a, healthOf(2));
    expect(stored(cluster).size).toBe(1);
  });

  test('goes with its session, in one transaction', async () => {
    const kv = new HoldingStore();
    const cluster = await start(kv);
    const a = await cluster.mount('a');
    await say(a, healthOf(1));
    kv.holding = true;
    a.say({ kind: 'goodbye' });
    await turns();
    expect(kv.held).toBe(1);
    kv.fail(); // all of it, or nothing
    expect(kv.range({ start: 'sessions/', end: 'sessions0' })).toHaveLength(1);
    expect(stored(cluster).size).toBe(1);
    kv.holding = false;
    await cluster.clock.advance(TTL_MS / 5); // tried again
    expect(kv.range({ start: 'sessions/', end: 'sessions0' })).toHaveLength(0);
    expect(stored(cluster).size).toBe(0);
  });

  test('does not take the space that is left for deletes', async () => {
    class FullStore extends MemoryStore {
      hasRoom = (): boolean => false;
    }
    const cluster = await start(new FullStore());
    const a = await cluster.mount('a');
    await say(a, healthOf(1));
    expect(stored(cluster).size).toBe(0);
    expect(await shown(cluster)).toEqual([healthOf(1)]);
  });

  test('has a key whatever the member calls itself', async () => {
    const cluster = await start();
    const a = await cluster.mount(`Küche/${'x'.repeat(5000)}`);
    await say(a, healthOf(1));
    const [key] = [...stored(cluster).keys()];
    expect(key).toMatch(/^health\/here\/K%C3%BCche%2Fx+\/[0-9]+$/);
    expect(key?.length).toBeLessThan(300);
    await cluster.failOver();
    expect(await shown(cluster)).toEqual([healthOf(1)]);
  });
});

describe('a new leader', () => {
  test('shows what was stored until the mount says how it is', async () => {
    const cluster = await start();
    const a = await cluster.mount('a');
    await say(a, healthOf(1, { storeReachable: false }));
    await cluster.failOver();
    expect(await shown(cluster)).toEqual([healthOf(1, { storeReachable: false })]);
    const { sites } = await cluster.coordinator.admin.status();
    expect(sites).toMatchObject([{ mounts: 1, storeReachable: false }]);
    await a.comeBack();
    await say(a, healthOf(2));
    expect(await shown(cluster)).toEqual([healthOf(2)]);
    expect(stored(cluster).get(`health/here/a/${a.session}`)?.cpuLoad).toBe(2);
  });

  test('deletes what is of no session any more, and what cannot be read', async () => {
    const cluster = await start();
    const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
    await say(a, healthOf(1));
    await say(b, healthOf(2));
    const lost = { session: '999', untilMs: 0, ...healthOf(3) };
    await cluster.kv.commit([
      { key: 'health/here/gone/999', value: Buffer.from(JSON.stringify(lost)) },
      { key: `health/here/b/${b.session}`, value: Buffer.from('{') },
    ]);
    await cluster.failOver();
    expect([...stored(cluster).keys()]).toEqual([`health/here/a/${a.session}`]);
    expect(await shown(cluster)).toEqual([healthOf(1), null]);
  });

  test('deletes that of a session that does not come back, with the session', async () => {
    const cluster = await start();
    await say(await cluster.mount('a'), healthOf(1));
    await cluster.failOver();
    for (let step = 0; step < 13; step++) await cluster.clock.advance(TTL_MS / 10);
    expect(stored(cluster).size).toBe(0);
    expect(await shown(cluster)).toEqual([]);
  });
});
