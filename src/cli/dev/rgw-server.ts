import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { GfsError } from '../../core/errors.js';
import { S3Store, type S3StoreSpec, type SecretRef } from '../../sites/index.js';
import { type RgwConf, rgwConf } from './rgw-conf.js';
import { freePorts, ServerProcess } from './server-process.js';

export interface RgwUser {
  readonly name: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface RgwServerOptions {
  /** Made if missing; what an earlier server left in it is deleted. */
  readonly directory: string;
  readonly users: readonly RgwUser[];
  /** Made for the first user. */
  readonly buckets?: readonly string[];
  /** Absent: a free one. */
  readonly port?: number;
  /** 'memstore' (the default) keeps objects in memory; 'bluestore' in a sparse file. */
  readonly objectStore?: 'memstore' | 'bluestore';
  /** What the store may hold; the default is 4 GiB. */
  readonly storeBytes?: number;
  /** PEM files; the endpoint is then https. `caFile`: whom clients are to trust. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly caFile: string };
  /** Goes on when this process ends; else the kernel ends it with this process. */
  readonly outlivesUs?: boolean;
  /** Told of each process, for whoever must end it in an emergency. */
  readonly onProcess?: (pid: number) => void;
  /** And of its end: its id may then be given to another. */
  readonly onProcessEnd?: (pid: number) => void;
}

const DEFAULT_STORE_BYTES = 4 * 1024 ** 3;

/** On a busy machine with two cores a start takes up to 20 s; on an idle one 1.5 s. */
const READY_TIMEOUT_MS = 90_000;
const READY_POLL_MS = 50;

/** Another process may take a port between finding and using it. */
const START_ATTEMPTS = 3;

/** Each program and the Debian package that has it. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'ceph-mon': 'ceph-mon',
  'ceph-osd': 'ceph-osd',
  ceph: 'ceph-common',
  'radosgw-admin': 'ceph-common',
  radosgw: 'radosgw',
};

const execute = promisify(execFile);

/**
 * A real S3 server for development and tests: a Ceph cluster of one monitor, one OSD and one RADOS gateway
 * on free ports of loopback. Its processes are ours: ended by pid, with SIGKILL, and nothing is left.
 */
export class RgwServer {
  readonly endpoint: string;
  readonly #conf: RgwConf;
  readonly #options: RgwServerOptions;
  #monitor: ServerProcess | undefined;
  #osd: ServerProcess | undefined;
  #gateway: ServerProcess | undefined;

  private constructor(conf: RgwConf, options: RgwServerOptions) {
    this.#conf = conf;
    this.#options = options;
    this.endpoint = `${conf.tls === undefined ? 'http' : 'https'}://127.0.0.1:${conf.gatewayPort}`;
  }

  /**
   * Resolves when the gateway answers and the users exist.
   * @throws GfsError CONFIG naming the packages to install; UNAVAILABLE when it does not come up
   */
  static async start(options: RgwServerOptions): Promise<RgwServer> {
    requirePrograms();
    for (let attempt = 1; ; attempt++) {
      const [monitorPort = 0, gatewayPort = 0] = await freePorts(2);
      const server = new RgwServer(
        {
          directory: options.directory,
          fsid: randomUUID(),
          monitorPort,
          gatewayPort: options.port ?? gatewayPort,
          objectStore: options.objectStore ?? 'memstore',
          storeBytes: options.storeBytes ?? DEFAULT_STORE_BYTES,
          ...(options.tls && { tls: options.tls }),
        },
        options,
      );
      try {
        await server.#start();
        return server;
      } catch (thrown) {
        await server.stop();
        if (attempt === START_ATTEMPTS) throw thrown;
      }
    }
  }

  /** Of the running processes. */
  get pids(): number[] {
    return [this.#monitor, this.#osd, this.#gateway].flatMap((each) =>
      each === undefined || each.ended !== undefined ? [] : [each.pid],
    );
  }

  /** How a site keeps its objects in a bucket here; the keys are in files that only this user can read. */
  storeSpec(bucket: string, user = this.#firstUser): S3StoreSpec {
    const key = (part: string): SecretRef => ({ from: 'file', path: this.#keyFile(user, part) });
    return {
      kind: 's3',
      endpoint: this.endpoint,
      bucket,
      prefix: '',
      region: 'us-east-1',
      pathStyle: true,
      credentials: { accessKeyId: key('id'), secretAccessKey: key('secret') },
      ...(this.#options.tls && { caFile: this.#options.tls.caFile }),
    };
  }

  /** A process that can be frozen (a hung disk, a hung server) and thawed. */
  process(which: 'osd' | 'gateway'): ServerProcess {
    const found = which === 'osd' ? this.#osd : this.#gateway;
    if (found === undefined) throw new GfsError('ENODEV', `the ${which} does not run`);
    return found;
  }

  async killGateway(): Promise<void> {
    await this.#gateway?.kill();
    this.#gateway = undefined;
  }

  /** Starts the gateway again at the same port, and waits until it answers. */
  async startGateway(): Promise<void> {
    this.#gateway = await this.#spawn('radosgw', ['-n', 'client.rgw']);
    await this.#waitFor('the gateway', this.#gateway, () => answers(this.#conf.gatewayPort));
  }

  /** Runs `radosgw-admin`, as for a quota; its output is JSON most of the time. */
  async admin(...args: string[]): Promise<string> {
    return this.#run('radosgw-admin', ['-n', 'client.rgw', '--admin-socket', '', ...args]);
  }

  /** Ends all processes (SIGKILL: the daemons' orderly end takes many seconds). The directory stays. */
  async stop(): Promise<void> {
    await Promise.all([this.#gateway, this.#osd, this.#monitor].map(async (each) => each?.kill()));
  }

  async #start(): Promise<void> {
    const { directory, fsid, monitorPort } = this.#conf;
    for (const part of ['mon', 'osd', 'rgw', 'log', 'run', 'keys']) {
      await rm(join(directory, part), { recursive: true, force: true });
      await mkdir(join(directory, part), { recursive: true, mode: 0o700 });
    }
    await writeFile(this.#confFile, rgwConf(this.#conf), { mode: 0o600 });
    const map = join(directory, 'monmap');
    const address = `[v2:127.0.0.1:${monitorPort}]`;
    await this.#run('monmaptool', ['--create', '--clobber', '--fsid', fsid, '--addv', 'a', address, map]);
    await this.#run('ceph-mon', ['--mkfs', '-i', 'a', '--monmap', map]);
    this.#monitor = await this.#spawn('ceph-mon', ['-i', 'a']);
    await this.#waitFor('the monitor', this.#monitor, () => answers(monitorPort));
    const osdId = randomUUID();
    await this.#run('ceph', ['osd', 'new', osdId, '0']);
    await this.#run('ceph-osd', ['-i', '0', '--mkfs', '--osd-uuid', osdId]);
    await this.#run('ceph', ['osd', 'crush', 'create-or-move', 'osd.0', '1', 'root=default', 'host=local']);
    this.#osd = await this.#spawn('ceph-osd', ['-i', '0']);
    await this.startGateway();
    for (const user of this.#options.users) await this.#createUser(user);
    for (const bucket of this.#options.buckets ?? []) await this.#createBucket(bucket);
  }

  async #createUser({ name, accessKeyId, secretAccessKey }: RgwUser): Promise<void> {
    const keys = [`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`];
    await this.admin('user', 'create', `--uid=${name}`, `--display-name=${name}`, ...keys, '--max-buckets=0');
    await writeFile(this.#keyFile(name, 'id'), accessKeyId, { mode: 0o600 });
    await writeFile(this.#keyFile(name, 'secret'), secretAccessKey, { mode: 0o600 });
  }

  async #createBucket(bucket: string): Promise<void> {
    const [user] = this.#options.users;
    const store = await S3Store.open({
      spec: this.storeSpec(bucket),
      site: 'dev',
      ...(user && { credentials: user }),
    });
    try {
      await store.createBucket();
    } finally {
      store.close();
    }
  }

  get #firstUser(): string {
    return this.#options.users[0]?.name ?? '';
  }

  #keyFile(user: string, part: string): string {
    return join(this.#conf.directory, 'keys', `${user}.${part}`);
  }

  get #confFile(): string {
    return join(this.#conf.directory, 'ceph.conf');
  }

  async #spawn(command: string, args: string[]): Promise<ServerProcess> {
    const started = await ServerProcess.start({
      command,
      args: ['-f', '-c', this.#confFile, ...args],
      logFile: join(this.#conf.directory, 'log', `${command}.out`),
      outlivesUs: this.#options.outlivesUs ?? false,
    });
    this.#options.onProcess?.(started.pid);
    void started.exit.then(() => this.#options.onProcessEnd?.(started.pid));
    return started;
  }

  async #run(command: string, args: string[]): Promise<string> {
    const conf = command === 'monmaptool' ? [] : ['-c', this.#confFile];
    try {
      const { stdout } = await execute(command, [...conf, ...args], {
        timeout: READY_TIMEOUT_MS,
        killSignal: 'SIGKILL',
        env: { ...process.env, CEPH_CONF: this.#confFile },
      });
      return stdout;
    } catch (thrown) {
      const said = (thrown as { stderr?: string }).stderr?.trim().slice(-2000) ?? '';
      throw new GfsError('UNAVAILABLE', `${command} failed; ${said}`, { cause: thrown });
    }
  }

  async #waitFor(what: string, server: ServerProcess, ready: () => Promise<boolean>): Promise<void> {
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    while (!(await ready())) {
      const how =
        server.ended ?? (performance.now() > deadlineMs ? `no answer in ${READY_TIMEOUT_MS} ms` : '');
      if (how !== '')
        throw new GfsError('UNAVAILABLE', `${what} did not start: ${how}\n${await this.#logs()}`);
      await delay(READY_POLL_MS);
    }
  }

  async #logs(): Promise<string> {
    const names = ['ceph-mon.out', 'ceph-osd.out', 'radosgw.out'];
    const texts = await Promise.all(
      names.map((name) => readFile(join(this.#conf.directory, 'log', name), 'utf8').catch(() => '')),
    );
    return texts.map((text) => text.slice(-1000)).join('\n');
  }
}

/** @throws GfsError CONFIG */
function requirePrograms(): void {
  const missing = Object.entries(PROGRAMS).filter(([program]) => !isInstalled(program));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(([, name]) => name))].join(' ');
  throw new GfsError(
    'CONFIG',
    `a local S3 server needs programs that are not installed (${missing.map(([program]) => program).join(', ')}); ` +
      `run: apt-get install -y --no-install-recommends ${packages}`,
  );
}

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false; // not in this folder
    }
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => (socket.destroy(), resolve(false)));
  });
}
