import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EtcdServer } from '../../src/cli/dev/etcd-server.js';
import { RgwServer } from '../../src/cli/dev/rgw-server.js';
import { freePorts } from '../../src/cli/dev/server-process.js';
import type { S3StoreSpec, SiteSpec } from '../../src/sites/index.js';
import type { LoggedProcess } from '../../test/support/cluster/logged-process.js';
import { run } from '../../test/support/run.js';
import { BenchMount, type BenchMountPlan } from './bench-mount.js';
import { endProgram, type Program, startProgram, untilReady } from './cluster-process.js';

export const SITE = 'onprem';
export const BUCKET = 'data';
export const KEYS = { accessKeyId: 'benchkey', secretAccessKey: 'benchsecret' } as const;

const READY_MS = 120_000;
/** Nobody is to lose a session because the load leaves it no CPU. */
const SESSION_TTL = '60s';

export interface ClusterPlan {
  /** The coordinator's. */
  readonly store: 'memory' | 'lmdb' | 'etcd';
  readonly cacheInodes?: number;
  /** The site's store is S3 (Ceph RGW, in memory) and may hold so many bytes; absent: a directory. */
  readonly s3Bytes?: number;
  /** What mounts connect to instead of the S3 server itself: a proxy before it. */
  readonly endpointFor?: (port: number) => Promise<number>;
}

/** A coordinator, its store, and the store of its one site: real processes on this machine. */
export class BenchCluster {
  readonly dir: string;
  readonly program: Program;
  readonly #plan: ClusterPlan;
  readonly #mounts: BenchMount[] = [];
  etcd: EtcdServer | undefined;
  rgw: RgwServer | undefined;
  #coordinator: LoggedProcess | undefined;
  #port = 0;
  #site: SiteSpec | undefined;

  private constructor(dir: string, plan: ClusterPlan, program: Program) {
    this.dir = dir;
    this.#plan = plan;
    this.program = program;
  }

  /** Starts it, runs `body`, and ends everything, also when something fails. */
  static async with<T>(
    { dir, plan, program }: { dir: string; plan: ClusterPlan; program: Program },
    body: (cluster: BenchCluster) => Promise<T>,
  ): Promise<T> {
    mkdirSync(dir, { recursive: true });
    const cluster = new BenchCluster(dir, plan, program);
    try {
      await cluster.#start();
      const result = await body(cluster);
      await cluster.#endInOrder();
      return result;
    } finally {
      await cluster.#kill();
    }
  }

  /** Of the coordinator. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  get coordinatorPid(): number {
    return this.#coordinator?.pid ?? 0;
  }

  get site(): SiteSpec {
    if (this.#site === undefined) throw new Error('the cluster has no site yet');
    return this.#site;
  }

  async mount(name: string, plan: BenchMountPlan = {}): Promise<BenchMount> {
    const place = { dir: join(this.dir, name), name, site: SITE, coordinator: this.address };
    const mount = new BenchMount(place, plan, this.program);
    this.#mounts.push(mount);
    await mount.start();
    return mount;
  }

  async #start(): Promise<void> {
    const { store, s3Bytes } = this.#plan;
    if (store === 'etcd') await this.#startEtcd();
    if (s3Bytes !== undefined) await this.#startS3(s3Bytes);
    await this.#startCoordinator();
    await this.#registerSite();
  }

  async #startEtcd(): Promise<void> {
    const onProcess = (pid: number): void => this.program.reaper.process(pid);
    this.etcd = await EtcdServer.start({ directory: join(this.dir, 'etcd'), onProcess });
  }

  async #startS3(storeBytes: number): Promise<void> {
    const { reaper } = this.program;
    this.rgw = await RgwServer.start({
      directory: join(this.dir, 'rgw'),
      users: [{ name: 'bench', ...KEYS }],
      buckets: [BUCKET],
      storeBytes,
      onProcess: (pid) => reaper.process(pid),
      onProcessEnd: (pid) => reaper.processGone(pid),
    });
  }

  async #startCoordinator(): Promise<void> {
    const { store, cacheInodes } = this.#plan;
    const [port = 0, httpPort = 0] = await freePorts(2);
    this.#port = port;
    const config = join(this.dir, 'coordinator.yaml');
    const kind = store === 'etcd' ? `etcd, endpoints: [${this.etcd?.endpoints.join(', ')}]` : store;
    const lines = [
      'cluster: bench',
      `listen: ${this.address}`,
      `http: 127.0.0.1:${httpPort}`,
      `state: ${this.stateDir}`,
      `store: { kind: ${kind} }`,
      `sessionTtl: ${SESSION_TTL}`,
      ...(cacheInodes === undefined ? [] : [`cacheInodes: ${cacheInodes}`]),
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    const started = await startProgram(this.program, ['coordinator', 'start', '--config', config]);
    this.#coordinator = started;
    await untilReady(`http://127.0.0.1:${httpPort}/readyz`, started, READY_MS);
  }

  /** The coordinator's. */
  get stateDir(): string {
    return join(this.dir, 'coordinator');
  }

  async #registerSite(): Promise<void> {
    const store = await this.#siteStore();
    this.#site = { name: SITE, role: 'primary', status: 'active', store };
    const config = join(this.dir, 'site.yaml');
    writeFileSync(config, `role: primary\nstore: ${yamlOf(store)}\n`);
    const words = ['site', 'register', SITE, '--config', config, '--coordinator', this.address];
    await run(process.execPath, [this.program.cli, ...words]);
  }

  async #siteStore(): Promise<SiteSpec['store']> {
    if (this.rgw === undefined) {
      const path = join(this.dir, 'store');
      mkdirSync(path);
      return { kind: 'directory', path };
    }
    const spec = this.rgw.storeSpec(BUCKET);
    const { endpointFor } = this.#plan;
    if (endpointFor === undefined) return spec;
    const port = await endpointFor(Number(new URL(this.rgw.endpoint).port));
    return { ...spec, endpoint: `http://127.0.0.1:${port}` };
  }

  async #endInOrder(): Promise<void> {
    for (const mount of this.#mounts) await mount.umount();
    await endProgram('the coordinator', this.#coordinator);
  }

  async #kill(): Promise<void> {
    await Promise.all(this.#mounts.map((mount) => mount.kill()));
    if (this.#coordinator?.code === undefined) await this.#coordinator?.kill();
    await Promise.all([this.etcd?.stop(), this.rgw?.stop()]);
  }
}

function yamlOf(store: S3StoreSpec | Extract<SiteSpec['store'], { kind: 'directory' }>): string {
  if (store.kind === 'directory') return JSON.stringify(store);
  const { endpoint, bucket, pathStyle, credentials } = store;
  const file = (ref: NonNullable<typeof credentials>['accessKeyId'] | undefined): object => ({
    file: ref?.from === 'file' ? ref.path : '',
  });
  // JSON is YAML.
  return JSON.stringify({
    ...{ kind: 's3', endpoint, bucket, pathStyle },
    credentials: {
      accessKeyId: file(credentials?.accessKeyId),
      secretAccessKey: file(credentials?.secretAccessKey),
    },
  });
}
