import { mkdir, readFile, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { GfsError } from '../../core/errors.js';
import { freePorts, ServerProcess } from './server-process.js';

/** PEM files. Members and clients show certificates of the same authority to each other. */
export interface EtcdServerTls {
  readonly caFile: string;
  /** For server and client use, with 127.0.0.1 among its names: members are clients of each other. */
  readonly certFile: string;
  readonly keyFile: string;
}

export interface EtcdServerOptions {
  /** Made if missing; what an earlier cluster left in it is deleted. */
  readonly directory: string;
  readonly members?: 1 | 3;
  readonly tls?: EtcdServerTls;
  /** Of the members' client side; absent: free ones. */
  readonly ports?: readonly number[];
  /** Flags for each member, such as `--max-txn-ops=1024`. */
  readonly flags?: readonly string[];
  /** Goes on when this process ends; else the kernel ends it with this process. */
  readonly outlivesUs?: boolean;
  /** Told of each process, for whoever must end it in an emergency. */
  readonly onProcess?: (pid: number) => void;
}

const COMMAND = 'etcd';

/** On an idle machine one member is up in 0.6 s, three in 0.8 s. */
const READY_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 50;
const HEALTH_MS = 1000;
/** A member that was killed may find its port taken by an outgoing connection of somebody, for a while. */
const START_ATTEMPTS = 3;
/** History is for watches that are behind: minutes of it, at some 1,000 transactions a second. */
const RETAINED_REVISIONS = 100_000;

/** A member of a cluster, in a process of its own. */
export class EtcdMember {
  readonly endpoint: string;
  readonly #args: readonly string[];
  readonly #options: EtcdServerOptions;
  readonly #logFile: string;
  #process: ServerProcess | undefined;

  constructor(endpoint: string, args: readonly string[], logFile: string, options: EtcdServerOptions) {
    this.endpoint = endpoint;
    this.#args = args;
    this.#logFile = logFile;
    this.#options = options;
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#process?.ended === undefined ? this.#process?.pid : undefined;
  }

  /** Returns when the process runs, not when it serves: see `EtcdServer.ready`. */
  async start(): Promise<void> {
    this.#process = await ServerProcess.start({
      command: COMMAND,
      args: this.#args,
      logFile: this.#logFile,
      outlivesUs: this.#options.outlivesUs ?? false,
    });
    this.#options.onProcess?.(this.#process.pid);
  }

  /** SIGKILL. Its data stays, and `start` brings it back. */
  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  /** SIGSTOP: its connections stay open, nothing is answered. */
  freeze(): void {
    this.#process?.freeze();
  }

  thaw(): void {
    this.#process?.thaw();
  }

  /** How its process ended, if it did. */
  get ended(): string | undefined {
    return this.#process?.ended;
  }
}

/** A real etcd of one or three members on loopback, for development and tests. */
export class EtcdServer {
  readonly members: readonly EtcdMember[];
  readonly #options: EtcdServerOptions;

  private constructor(members: readonly EtcdMember[], options: EtcdServerOptions) {
    this.members = members;
    this.#options = options;
  }

  /**
   * Resolves when all members serve.
   * @throws GfsError CONFIG when etcd is not installed; UNAVAILABLE when it does not come up
   */
  static async start(options: EtcdServerOptions): Promise<EtcdServer> {
    await rm(options.directory, { recursive: true, force: true });
    for (let attempt = 1; ; attempt++) {
      const server = await EtcdServer.#plan(options);
      try {
        for (const member of server.members) await member.start();
        await server.ready();
        return server;
      } catch (thrown) {
        await server.stop();
        await rm(options.directory, { recursive: true, force: true });
        const hopeless = thrown instanceof GfsError && thrown.code === 'CONFIG';
        if (hopeless || attempt === START_ATTEMPTS) throw thrown;
      }
    }
  }

  static async #plan(options: EtcdServerOptions): Promise<EtcdServer> {
    const { directory, members: count = 1, ports: given = [], tls } = options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const scheme = tls === undefined ? 'http' : 'https';
    const ports = await freePorts(2 * count);
    const plan = Array.from({ length: count }, (_, index) => ({
      name: `member${index + 1}`,
      client: `${scheme}://127.0.0.1:${given[index] ?? ports[index]}`,
      peer: `${scheme}://127.0.0.1:${ports[count + index]}`,
    }));
    const cluster = plan.map(({ name, peer }) => `${name}=${peer}`).join(',');
    const members = plan.map(({ name, client, peer }) => {
      const args = [
        ...[`--name=${name}`, `--data-dir=${join(directory, name)}`],
        ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
        ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
        ...[`--initial-cluster=${cluster}`, '--initial-cluster-token=globalfs'],
        ...['--logger=zap', '--log-level=warn'],
        ...['--auto-compaction-mode=revision', `--auto-compaction-retention=${RETAINED_REVISIONS}`],
        ...(tls === undefined ? [] : tlsFlags(tls)),
        ...(options.flags ?? []),
      ];
      return new EtcdMember(client, args, join(directory, `${name}.log`), options);
    });
    return new EtcdServer(members, options);
  }

  /** Of the clients' side, `http://127.0.0.1:port`. */
  get endpoints(): string[] {
    return this.members.map(({ endpoint }) => endpoint);
  }

  get pids(): number[] {
    return this.members.flatMap(({ pid }) => pid ?? []);
  }

  /**
   * Resolves when every member that runs serves reads and writes.
   * @throws GfsError UNAVAILABLE after a minute, or when one has ended
   */
  async ready(): Promise<void> {
    const until = performance.now() + READY_TIMEOUT_MS;
    for (const member of this.members) {
      while (!(await this.#healthy(member))) {
        if (member.ended !== undefined || performance.now() > until) {
          throw new GfsError('UNAVAILABLE', `etcd does not come up; see ${this.#options.directory}/*.log`, {
            context: { endpoint: member.endpoint, ended: member.ended },
          });
        }
        await delay(READY_POLL_MS);
      }
    }
  }

  /** The member that leads, as the members say. @throws GfsError UNAVAILABLE when none says so for a minute */
  async leader(): Promise<EtcdMember> {
    const until = performance.now() + READY_TIMEOUT_MS;
    while (performance.now() < until) {
      for (const member of this.members) {
        const metrics = member.pid === undefined ? '' : await this.#get(member, '/metrics');
        if (/^etcd_server_is_leader 1$/m.test(metrics)) return member;
      }
      await delay(READY_POLL_MS);
    }
    throw new GfsError('UNAVAILABLE', 'no member of etcd leads');
  }

  /** Ends all processes, and returns when they are gone. The directory stays. */
  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
  }

  async #healthy(member: EtcdMember): Promise<boolean> {
    return /"health":\s*"true"/.test(await this.#get(member, '/health'));
  }

  /** @returns '' when the member does not answer */
  async #get(member: EtcdMember, path: string): Promise<string> {
    const { tls } = this.#options;
    const url = new URL(path, member.endpoint);
    const identity =
      tls === undefined
        ? {}
        : {
            ca: await readFile(tls.caFile),
            cert: await readFile(tls.certFile),
            key: await readFile(tls.keyFile),
          };
    return new Promise((resolve) => {
      const send = tls === undefined ? httpRequest : httpsRequest;
      const request = send(url, { ...identity, timeout: HEALTH_MS, agent: false }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () => resolve(Buffer.concat(parts).toString()));
        response.on('error', () => resolve(''));
      });
      request.on('timeout', () => request.destroy());
      request.on('error', () => resolve('')); // it does not answer: whoever asks tries again
      request.end();
    });
  }
}

function tlsFlags({ caFile, certFile, keyFile }: EtcdServerTls): string[] {
  return [
    ...[`--cert-file=${certFile}`, `--key-file=${keyFile}`],
    ...[`--trusted-ca-file=${caFile}`, '--client-cert-auth'],
    ...[`--peer-cert-file=${certFile}`, `--peer-key-file=${keyFile}`],
    ...[`--peer-trusted-ca-file=${caFile}`, '--peer-client-cert-auth'],
  ];
}
