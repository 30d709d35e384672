import { join } from 'node:path';
import { cpuMs, untilIdle } from '../contestants.js';
import { spreadOf } from '../summary.js';
import { BenchCluster, SITE } from './bench-cluster.js';
import type { ClusterRun } from './cluster-run.js';
import { type ClusterGoal, type ClusterRow, goalAtLeast, ratioOf } from './figures.js';
import { withWorkers, type WorkerProcess } from './worker-process.js';
import type { Timed } from './worker-tasks.js';

type Store = 'memory' | 'lmdb' | 'etcd';
type Kind = 'create' | 'lookup';

const STORES: readonly Store[] = ['memory', 'lmdb', 'etcd'];
const CLIENTS = [1, 8] as const;
const CREATES_GOAL: Readonly<Partial<Record<Store, number>>> = { memory: 10_000, etcd: 5_000 };
const LOOKUPS_GOAL = 50_000;
/** Each client's share of a run, before anything is measured: its code is then compiled, and the coordinator's. */
const WARM_UP_PART = 10;

/** Each in the order of the rounds. */
interface Samples {
  readonly perSecond: number[];
  readonly peerPerSecond: number[];
  /** Of the coordinator, µs for each. */
  readonly cpuMicros: number[];
}

interface Measurement {
  readonly store: Store;
  readonly kind: Kind;
  readonly clients: number;
  readonly samples: Samples;
}

/**
 * Commands through a coordinator in a process of its own, by clients in processes of theirs; the peer is what
 * the coordinator works with: the namespace in one process, or etcd with a transaction for each create.
 */
export async function measureCommands(run: ClusterRun): Promise<ClusterRow[]> {
  const rows: ClusterRow[] = [];
  for (const store of STORES) rows.push(...(await measureStore(run, store)).map(rowOf));
  return rows;
}

async function measureStore(run: ClusterRun, store: Store): Promise<Measurement[]> {
  const { base, program, rounds } = run;
  const kinds = ['create', 'lookup'] as const;
  const measurements = CLIENTS.flatMap((clients) =>
    kinds.map((kind): Measurement => {
      const samples = { perSecond: [], peerPerSecond: [], cpuMicros: [] };
      return { store, kind, clients, samples };
    }),
  );
  const plan = { store };
  const most = Math.max(...CLIENTS);
  await BenchCluster.with({ dir: join(base, `commands-${store}`), plan, program }, (cluster) =>
    withWorkers(most + 1, program.reaper, async ([peer, ...clients]) => {
      run.progress(`commands, ${store}: warming up`);
      const scale = { ...run.scale, commands: Math.ceil(run.scale.commands / WARM_UP_PART) * most };
      const warmUp = { run: { ...run, scale }, cluster, store, name: 'warm-up' };
      await peerSpeed({ ...warmUp, clients: [] }, peer as WorkerProcess);
      await clientsSpeed({ ...warmUp, clients });
      for (let round = 1; round <= rounds; round++) {
        for (const count of CLIENTS) {
          run.progress(`round ${round} of ${rounds}: commands, ${store}, ${count} clients`);
          const turn = { run, cluster, store, name: `r${round}-${count}`, clients: clients.slice(0, count) };
          const [theirs, own] = await bothInTurn(
            round,
            () => peerSpeed(turn, peer as WorkerProcess),
            () => clientsSpeed(turn),
          );
          for (const { kind, clients: of, samples } of measurements) {
            if (of !== count) continue;
            samples.perSecond.push(own[kind].perSecond);
            samples.cpuMicros.push(own[kind].cpuMicros);
            samples.peerPerSecond.push(theirs[kind]);
          }
        }
      }
    }),
  );
  return measurements;
}

interface Turn {
  readonly run: ClusterRun;
  readonly cluster: BenchCluster;
  readonly store: Store;
  readonly name: string;
  readonly clients: readonly WorkerProcess[];
}

/** Who begins changes from round to round. */
async function bothInTurn<A, B>(
  round: number,
  one: () => Promise<A>,
  other: () => Promise<B>,
): Promise<[A, B]> {
  if (round % 2 === 1) return [await one(), await other()];
  const second = await other();
  return [await one(), second];
}

/** Creates and lookups a second. */
async function peerSpeed(
  { run, cluster, store, name }: Turn,
  worker: WorkerProcess,
): Promise<Record<Kind, number>> {
  const { commands: count, inFlight } = run.scale;
  const path = join(run.base, `peer-${store}-${name}`);
  const inProcess = await worker.run('namespace', {
    store: store === 'lmdb' ? 'lmdb' : 'memory',
    path,
    count,
  });
  const endpoint = cluster.etcd?.endpoints[0];
  const create =
    endpoint === undefined
      ? inProcess.create
      : await worker.run('etcd', { endpoint, prefix: `/peer/${name}/`, count, inFlight });
  return { create: perSecond(count, [create]), lookup: perSecond(count, [inProcess.lookup]) };
}

async function clientsSpeed(turn: Turn): Promise<Record<Kind, { perSecond: number; cpuMicros: number }>> {
  const create = await clientsLoad(turn, 'create');
  // New sessions: nothing is cached by the clients, nor leased to anybody.
  const lookup = await clientsLoad(turn, 'lookup');
  return { create, lookup };
}

async function clientsLoad(
  { run, cluster, name, clients }: Turn,
  kind: Kind,
): Promise<{ perSecond: number; cpuMicros: number }> {
  const { address, coordinatorPid: pid } = cluster;
  const count = Math.floor(run.scale.commands / clients.length);
  const load = { count, inFlight: run.scale.inFlight };
  await Promise.all(
    clients.map((client, i) => client.run('connect', { address, site: SITE, member: `client${i}` })),
  );
  await untilIdle({ pid });
  const before = cpuMs(pid);
  const times = await Promise.all(
    clients.map((client, i) => client.run(kind, { directory: `${name}-${i}`, ...load })),
  );
  const cpuMicros = ((cpuMs(pid) - before) * 1000) / (count * clients.length);
  await Promise.all(clients.map((client) => client.run('leave', null)));
  await untilIdle({ pid });
  return { perSecond: perSecond(count * clients.length, times), cpuMicros };
}

/** From the first one's start to the last one's end. */
function perSecond(count: number, times: readonly Timed[]): number {
  const startMs = Math.min(...times.map((time) => time.startMs));
  const endMs = Math.max(...times.map((time) => time.endMs));
  return count / ((endMs - startMs) / 1000);
}

function rowOf({ store, kind, clients, samples }: Measurement): ClusterRow {
  const value = spreadOf(samples.perSecond);
  const what = kind === 'create' ? 'creates' : 'lookups';
  return {
    id: `${kind}-${store}-${clients}`,
    title: `${what}, ${store}, ${clients === 1 ? '1 client' : `${clients} clients`}`,
    unit: '/s',
    value,
    peer: {
      name: store === 'etcd' && kind === 'create' ? 'bare etcd' : 'Namespace in process',
      value: spreadOf(samples.peerPerSecond),
    },
    ratio: ratioOf(samples.perSecond, samples.peerPerSecond),
    cpu: spreadOf(samples.cpuMicros),
    goal: goalOf(store, kind, clients, value.median),
  };
}

function goalOf(store: Store, kind: Kind, clients: number, value: number): ClusterGoal | undefined {
  if (kind === 'lookup') return goalAtLeast('50,000 /s', value, LOOKUPS_GOAL);
  const least = clients === 1 ? CREATES_GOAL[store] : undefined;
  return least === undefined ? undefined : goalAtLeast(`${least / 1000},000 /s`, value, least);
}
