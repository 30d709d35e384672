import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EtcdServer } from '../../src/cli/dev/etcd-server.js';
import { RgwServer } from '../../src/cli/dev/rgw-server.js';
import { freePorts } from '../../src/cli/dev/server-process.js';
import type { ClusterStatus, MountReport } from '../../src/coordinator/admin-api.js';
import { ClusterMount } from './cluster/cluster-mount.js';
import { CoordinatorProcess } from './cluster/coordinator-process.js';
import { TurnCounter } from './cluster/turn-counter.js';
import { globalfs } from './globalfs.js';
import { Reaper } from './reaper.js';
import { TcpProxy } from './tcp-proxy.js';

export interface MountPlan {
  /** Between the mount and each coordinator. */
  readonly roundTripMs?: number;
  /** Lines of globalfs.yaml, such as `unreachable: 5s`. */
  readonly config?: readonly string[];
  readonly args?: readonly string[];
}

export interface ClusterPlan {
  /** Members of etcd; 0: one coordinator on LMDB, which is quicker to start. */
  readonly etcd?: 0 | 1 | 3;
  /** More than one needs etcd. */
  readonly coordinators?: 1 | 2;
  /** `s3`: Ceph RGW. The default is a directory. */
  readonly store?: 's3' | 'directory';
  readonly mounts: number | readonly MountPlan[];
  readonly sessionTtl?: string;
}

const SITE = 'onprem';
const BUCKET = 'data';
const STORE_BYTES = 1 << 30;
const LEADER_TIMEOUT_MS = 60_000;
const LOG_SHOWN_CHARS = 3000;

/** A cluster of real processes on this machine, with a proxy between each two that talk to each other. */
export class Cluster {
  readonly reaper: Reaper;
  readonly dir: string;
  readonly #plan: ClusterPlan;
  etcd: EtcdServer | undefined;
  rgw: RgwServer | undefined;
  /** In front of each member of etcd, for the coordinators; empty on LMDB. */
  readonly etcdProxies: TcpProxy[] = [];
  /** In front of the site's store, when that is S3. */
  storeProxy: TcpProxy | undefined;
  readonly coordinators: CoordinatorProcess[] = [];
  readonly mounts: ClusterMount[] = [];

  constructor(dir: string, plan: ClusterPlan, reaper: Reaper) {
    this.dir = dir;
    this.#plan = plan;
    this.reaper = reaper;
  }

  async start(): Promise<void> {
    await Promise.all([this.#startEtcd(), this.#startStore()]);
    for (let i = 0; i < (this.#plan.coordinators ?? 1); i++) await this.#startCoordinator(i);
    await this.#registerSite();
    const { mounts } = this.#plan;
    const plans = typeof mounts === 'number' ? Array.from({ length: mounts }, () => ({})) : mounts;
    for (const plan of plans) await this.addMount(plan);
  }

  async #startEtcd(): Promise<void> {
    const members = this.#plan.etcd ?? 1;
    if (members === 0) return;
    const onProcess = (pid: number): void => this.reaper.process(pid);
    this.etcd = await EtcdServer.start({ directory: join(this.dir, 'etcd'), members, onProcess });
    for (const { endpoint } of this.etcd.members) {
      this.etcdProxies.push(await TcpProxy.start({ port: Number(new URL(endpoint).port) }));
    }
  }

  async #startStore(): Promise<void> {
    if (this.#plan.store !== 's3') {
      await mkdir(join(this.dir, 'store'));
      return;
    }
    this.rgw = await RgwServer.start({
      directory: join(this.dir, 'rgw'),
      users: [{ name: 'test', accessKeyId: 'testkey', secretAccessKey: 'testsecret' }],
      buckets: [BUCKET],
      storeBytes: STORE_BYTES,
      onProcess: (pid) => this.reaper.process(pid),
      onProcessEnd: (pid) => this.reaper.processGone(pid),
    });
    this.storeProxy = await TcpProxy.start({ port: Number(new URL(this.rgw.endpoint).port) });
  }

  async #startCoordinator(index: number): Promise<void> {
    const endpoints = this.etcdProxies.map(({ port }) => `http://127.0.0.1:${port}`).join(', ');
    const [port = 0, httpPort = 0, nobodysPort = 0] = await freePorts(3);
    const coordinator = new CoordinatorProcess(`c${index + 1}`, {
      dir: join(this.dir, `c${index + 1}`),
      cluster: 'test',
      port,
      httpPort,
      // A standby's word for where the leader is would lead around the mounts' proxies: nobody listens there.
      advertise: `127.0.0.1:${nobodysPort}`,
      store: this.etcd === undefined ? '{ kind: lmdb }' : `{ kind: etcd, endpoints: [${endpoints}] }`,
      sessionTtl: this.#plan.sessionTtl ?? '5s',
      reaper: this.reaper,
    });
    this.coordinators.push(coordinator);
    await coordinator.start();
  }

  async #registerSite(): Promise<void> {
    const config = join(this.dir, 'site.yaml');
    await writeFile(config, `role: primary\nstore: ${await this.#storeYaml()}\n`);
    const result = await this.ask('site', 'register', SITE, '--config', config);
    if (result.code !== 0) throw new Error(`site register: ${result.stderr}`);
  }

  async #storeYaml(): Promise<string> {
    if (this.storeProxy === undefined) return `{ kind: directory, path: ${join(this.dir, 'store')} }`;
    const [id, secret] = [join(this.dir, 'key-id'), join(this.dir, 'key-secret')];
    await writeFile(id, 'testkey', { mode: 0o600 });
    await writeFile(secret, 'testsecret', { mode: 0o600 });
    const credentials = `{ accessKeyId: { file: ${id} }, secretAccessKey: { file: ${secret} } }`;
    const endpoint = `http://127.0.0.1:${this.storeProxy.port}`;
    return `{ kind: s3, endpoint: '${endpoint}', bucket: ${BUCKET}, pathStyle: true, credentials: ${credentials} }`;
  }

  /** Starts one more mount, by its own way to the coordinators. */
  async addMount(plan: MountPlan = {}): Promise<ClusterMount> {
    const name = `m${this.mounts.length + 1}`;
    const proxies: TcpProxy[] = [];
    const counters: TurnCounter[] = [];
    for (const { port } of this.coordinators) {
      const counter = await TurnCounter.start(port);
      counters.push(counter);
      proxies.push(await TcpProxy.start({ port: counter.port, delayMs: (plan.roundTripMs ?? 0) / 2 }));
    }
    const mount = new ClusterMount(name, {
      dir: join(this.dir, name),
      site: SITE,
      proxies,
      counters,
      config: plan.config ?? [],
      args: plan.args ?? [],
      reaper: this.reaper,
    });
    this.mounts.push(mount);
    await mount.start();
    return mount;
  }

  mount(index: number): ClusterMount {
    const found = this.mounts[index];
    if (found === undefined) throw new Error(`there is no mount ${index}`);
    return found;
  }

  /** Runs the command line against the cluster, around all proxies. */
  ask(...args: string[]): ReturnType<typeof globalfs> {
    const addresses = this.coordinators.map(({ address }) => address).join(',');
    return globalfs(args, { env: { GLOBALFS_COORDINATORS: addresses } });
  }

  async status(): Promise<ClusterStatus> {
    const { stdout, stderr } = await this.ask('status', '-o', 'json');
    if (stdout === '') throw new Error(`status: ${stderr}`);
    return (JSON.parse(stdout) as { cluster: ClusterStatus }).cluster;
  }

  async reports(): Promise<MountReport[]> {
    return JSON.parse((await this.ask('mounts', '-o', 'json')).stdout) as MountReport[];
  }

  /** The coordinator that leads. @throws Error when none does for a minute */
  async leader(): Promise<CoordinatorProcess> {
    const deadline = performance.now() + LEADER_TIMEOUT_MS;
    for (;;) {
      const status = await this.status().catch(() => undefined);
      const found = this.coordinators.find(({ advertise }) => advertise === status?.leader.address);
      if (found !== undefined) return found;
      if (performance.now() > deadline) throw new Error(`nobody leads after ${LEADER_TIMEOUT_MS} ms`);
      await delay(200);
    }
  }

  /** Unmounts all in order, and ends the servers. */
  async end(): Promise<void> {
    for (const mount of this.mounts) await mount.umount();
    await Promise.all(this.coordinators.filter(({ isRunning }) => isRunning).map((each) => each.stop()));
  }

  logs(): string {
    return [...this.coordinators, ...this.mounts]
      .map((each) => `--- ${each.name}, its end ---\n${withoutStacks(each.log()).slice(-LOG_SHOWN_CHARS)}`)
      .join('\n');
  }

  async close(): Promise<void> {
    const proxies = [...this.etcdProxies, ...(this.storeProxy ? [this.storeProxy] : [])];
    await Promise.all([...proxies, ...this.mounts.flatMap(({ network }) => network)].map((p) => p.close()));
  }
}

/** Stacks fill what little is shown of a log. */
const withoutStacks = (log: string): string => log.replaceAll(/,"stack":"(?:[^"\\]|\\.)*"/g, '');

/**
 * Starts a cluster, runs `body`, ends it in order (which must succeed), and cleans up, also when the body
 * throws or this process is killed.
 */
export async function withCluster<T>(plan: ClusterPlan, body: (cluster: Cluster) => Promise<T>): Promise<T> {
  const reaper = new Reaper();
  const dir = await mkdtemp(join(tmpdir(), 'globalfs-cluster-'));
  reaper.directory(dir);
  const cluster = new Cluster(dir, plan, reaper);
  try {
    await chmod(dir, 0o755);
    await cluster.start();
    const result = await body(cluster);
    await cluster.end();
    return result;
  } catch (error) {
    if (error instanceof Error) error.message += `\n${cluster.logs()}`;
    throw error;
  } finally {
    await reaper.finish();
    await cluster.close();
  }
}
