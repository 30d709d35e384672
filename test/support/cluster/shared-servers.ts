import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EtcdServer } from '../../../src/cli/dev/etcd-server.js';
import { RgwServer } from '../../../src/cli/dev/rgw-server.js';
import { freePorts } from '../../../src/cli/dev/server-process.js';
import { globalfs } from '../globalfs.js';
import { Reaper } from '../reaper.js';
import { CoordinatorProcess } from './coordinator-process.js';

/**
 * The mounts of the one-node suites as mounts of a cluster (`GLOBALFS_TEST_PEER=cluster`): all of one test
 * file share an etcd and an S3 server, whose start takes seconds; each has a coordinator, a namespace and a
 * part of the bucket of its own.
 */
const USER = { name: 'test', accessKeyId: 'testkey', secretAccessKey: 'testsecret' };
const BUCKET = 'data';
const SITE = 'onprem';
const STORE_BYTES = 4 * 1024 ** 3;

/** Where the secret is: users that mount cannot read root's files. */
const SECRETS = { GLOBALFS_TEST_KEY_ID: USER.accessKeyId, GLOBALFS_TEST_KEY: USER.secretAccessKey };

export interface Membership {
  /** A globalfs.yaml. */
  readonly configFile: string;
  /** What the mount must have in its environment. */
  readonly env: Readonly<Record<string, string>>;
}

interface Servers {
  readonly etcd: EtcdServer;
  readonly rgw: RgwServer;
  readonly reaper: Reaper;
}

let servers: Promise<Servers> | undefined;
let clusters = 0;

async function start(): Promise<Servers> {
  const reaper = new Reaper();
  const dir = await mkdtemp(join(tmpdir(), 'globalfs-servers-'));
  reaper.directory(dir);
  const onProcess = (pid: number): void => reaper.process(pid);
  const [etcd, rgw] = await Promise.all([
    EtcdServer.start({ directory: join(dir, 'etcd'), onProcess }),
    RgwServer.start({
      ...{ directory: join(dir, 'rgw'), users: [USER], buckets: [BUCKET], storeBytes: STORE_BYTES },
      ...{ onProcess, onProcessEnd: (pid: number) => reaper.processGone(pid) },
    }),
  ]);
  return { etcd, rgw, reaper };
}

/** At the end of the test file. */
export async function endSharedServers(): Promise<void> {
  if (servers === undefined) return;
  const { etcd, rgw, reaper } = await servers;
  await Promise.all([etcd.stop(), rgw.stop()]);
  await reaper.finish();
}

/**
 * Starts a coordinator for one mount.
 * @param dir for its state
 */
export async function ownCluster(dir: string, reaper: Reaper): Promise<Membership> {
  servers ??= start();
  const { etcd, rgw } = await servers;
  const [port = 0, httpPort = 0] = await freePorts(2);
  const cluster = `test${++clusters}`;
  const store = `{ kind: etcd, endpoints: [${etcd.endpoints.join(', ')}] }`;
  const coordinator = new CoordinatorProcess('c1', {
    ...{ dir: join(dir, 'coordinator'), cluster, port, httpPort, store, reaper },
    ...{ advertise: `127.0.0.1:${port}`, sessionTtl: '10s' },
  });
  await coordinator.start();
  const site = join(dir, 'site.yaml');
  const credentials =
    '{ accessKeyId: { env: GLOBALFS_TEST_KEY_ID }, secretAccessKey: { env: GLOBALFS_TEST_KEY } }';
  const where = `endpoint: '${rgw.endpoint}', bucket: ${BUCKET}, prefix: ${cluster}/, pathStyle: true`;
  await writeFile(site, `role: primary\nstore: { kind: s3, ${where}, credentials: ${credentials} }\n`);
  const env = { GLOBALFS_COORDINATORS: coordinator.address, ...SECRETS };
  const result = await globalfs(['site', 'register', SITE, '--config', site], { env });
  if (result.code !== 0) throw new Error(`site register: ${result.stderr}\n${coordinator.log()}`);
  const configFile = join(dir, 'globalfs.yaml');
  await writeFile(configFile, `coordinators: [${coordinator.address}]\nsite: ${SITE}\nmember: m1\n`);
  return { configFile, env: SECRETS };
}
