import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { GfsError } from '../../core/errors.js';
import { storeText } from '../cluster-lines.js';
import type { S3StoreSpec } from '../../sites/site-spec.js';
import { readOwner } from '../state-dir.js';
import { lastLines, runCommand, startCommand, type BackgroundCommand } from './child-command.js';
import { EtcdServer } from './etcd-server.js';
import { coordinatorYaml, mountYaml, siteYaml, writeConfig } from './playground-files.js';
import type { Playground, PlaygroundMount } from './playground.js';
import { RgwServer } from './rgw-server.js';
import { freePorts } from './server-process.js';

/** `burst` has machines for a while, `primary` is where data lives. */
const SITES = [
  { name: 'onprem', role: 'primary' },
  { name: 'cloud', role: 'burst' },
] as const;

const BUCKET = 'globalfs';

/** A coordinator of an empty cluster leads within a second of an idle machine. */
const COORDINATOR_READY_MS = 60_000;
const POLL_MS = 100;

export interface PlaygroundPlan {
  /** At each site. */
  readonly mounts: number;
  /** Told what is being started. */
  readonly tell: (what: string) => void;
  /** Heard between two steps. */
  readonly signal: AbortSignal;
}

/** The name that a process has in /proc; its number when it has ended already. */
function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return String(pid); // it has ended: whoever started it tells why
  }
}

/**
 * Starts everything, each as a process of its own that goes on without us; all that `endPlayground` needs is
 * in the record before the next one is started.
 * @throws GfsError CONFIG when programs are missing; UNAVAILABLE when something does not come up
 */
export async function startPlayground(playground: Playground, plan: PlaygroundPlan): Promise<void> {
  const begin = (what: string): void => {
    throwIfInterrupted(plan.signal);
    plan.tell(what);
  };
  const onProcess = (pid: number, site?: string): void =>
    playground.addProcess(site === undefined ? nameOf(pid) : `${nameOf(pid)} ${site}`, pid);
  begin('etcd, and an S3 server for each site');
  const [etcd, ...stores] = await all([
    EtcdServer.start({ directory: playground.path('etcd'), outlivesUs: true, onProcess }),
    ...SITES.map(({ name }) => startS3(playground, name, onProcess)),
  ]);
  const endpoint = etcd.endpoints[0] ?? '';
  playground.update({ etcd: endpoint });
  begin('the coordinator');
  const coordinator = await startCoordinator(playground, endpoint);
  for (const [index, site] of SITES.entries()) {
    begin(`site ${site.name}`);
    const store = stores[index]?.storeSpec(BUCKET);
    if (store !== undefined) await registerSite(playground, coordinator, site, store);
  }
  for (let number = 1; number <= plan.mounts; number++) {
    for (const { name } of SITES) {
      begin(`mount ${number} of site ${name}`);
      await mountSite(playground, coordinator, name, number);
    }
  }
  throwIfInterrupted(plan.signal);
  playground.update({ ready: true });
}

function throwIfInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new GfsError('CANCELLED', 'interrupted; everything that was started is ended');
}

/** When one fails, then not before the others are through: they would go on starting processes. */
async function all<T extends readonly unknown[]>(
  work: readonly [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

/** Each site has a server of its own: it can be frozen or ended to see what a site without a store does. */
function startS3(
  playground: Playground,
  site: string,
  onProcess: (pid: number, site: string) => void,
): Promise<RgwServer> {
  return RgwServer.start({
    directory: playground.path('s3', site),
    users: [
      {
        name: 'globalfs',
        accessKeyId: randomBytes(10).toString('hex').toUpperCase(),
        secretAccessKey: randomBytes(20).toString('hex'),
      },
    ],
    buckets: [BUCKET],
    outlivesUs: true,
    onProcess: (pid) => onProcess(pid, site),
  });
}

/** @returns its address */
async function startCoordinator(playground: Playground, etcd: string): Promise<string> {
  const [port, httpPort] = await freePorts(2);
  const [listen, http] = [`127.0.0.1:${port}`, `127.0.0.1:${httpPort}`];
  const file = playground.path('coordinator.yaml');
  const { cluster } = playground.record;
  writeConfig(file, coordinatorYaml({ cluster, listen, http, state: playground.path('coordinator'), etcd }));
  const logFile = playground.path('coordinator.log');
  const started = await startCommand(['coordinator', 'start', '--config', file], logFile);
  playground.addProcess('coordinator', started.pid);
  playground.update({ coordinator: listen });
  await untilReady(`http://${http}/readyz`, started, logFile);
  return listen;
}

async function untilReady(url: string, started: BackgroundCommand, logFile: string): Promise<void> {
  const deadlineMs = performance.now() + COORDINATOR_READY_MS;
  for (;;) {
    const answer = await fetch(url).catch(() => undefined); // it does not listen yet
    if (answer?.ok === true) return;
    const how = started.ended() ?? (performance.now() > deadlineMs ? 'not ready after a minute' : undefined);
    if (how !== undefined) {
      throw new GfsError('UNAVAILABLE', `the coordinator did not start (${how}); ${lastLines(logFile, 3)}`);
    }
    await delay(POLL_MS);
  }
}

async function registerSite(
  playground: Playground,
  coordinator: string,
  { name, role }: (typeof SITES)[number],
  spec: S3StoreSpec,
): Promise<void> {
  const { endpoint = '', bucket, credentials } = spec;
  const keyFile = (ref: NonNullable<typeof credentials>['accessKeyId'] | undefined): string =>
    ref?.from === 'file' ? ref.path : '';
  const file = playground.path(`site-${name}.yaml`);
  const accessKeyFile = keyFile(credentials?.accessKeyId);
  const secretKeyFile = keyFile(credentials?.secretAccessKey);
  writeConfig(file, siteYaml({ name, role, endpoint, bucket, accessKeyFile, secretKeyFile }));
  await runCommand(['site', 'register', name, '--config', file, '--coordinator', coordinator]);
  playground.update({ sites: [...playground.record.sites, { name, store: storeText(spec) }] });
}

async function mountSite(
  playground: Playground,
  coordinator: string,
  site: string,
  number: number,
): Promise<void> {
  const name = number === 1 ? site : `${site}-${number}`;
  const mount: PlaygroundMount = {
    site,
    mountpoint: playground.path(name),
    stateDir: playground.path('state', name),
    config: playground.path(`globalfs-${name}.yaml`),
  };
  const { mountpoint, stateDir, config } = mount;
  // On one machine, what tells the mounts of a site apart is not the host.
  const member = number === 1 ? hostname() : `${hostname()}-${number}`;
  writeConfig(config, mountYaml({ coordinator, site, member, mountpoint, file: config, stateDir }));
  mkdirSync(playground.path('state'), { recursive: true, mode: 0o700 });
  playground.update({ mounts: [...playground.record.mounts, mount] });
  await runCommand(['mount', '--config', config, '--state', stateDir, mountpoint]);
  const owner = readOwner(stateDir);
  if (owner !== undefined) playground.addProcess(`mount ${name}`, owner.pid);
}
