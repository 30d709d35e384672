import { IDLE_HOST } from '../../src/coordinator/idle-host.js';
import { GrpcDialer, RemoteClient } from '../../src/coordinator/index.js';
import { type Ino, parseName, ROOT_INO, silentLogger, systemClock } from '../../src/core/index.js';
import { pipelined, timed } from './pipelined.js';
import type { InputOf, Timed } from './worker-tasks.js';

/** As long as names of files are on the average. */
export const nameOfFilled = (i: number): string => `some-file-${String(i).padStart(7, '0')}`;

export const CALLER = { uid: 0, gid: 0 };
export const FILE = { mode: 0o100644, umask: 0o022 };
export const DIRECTORY = { mode: 0o040755, umask: 0o022 };

/** A mount's client of the coordinator, without a kernel above it. */
export class MountLoad {
  #client: RemoteClient | undefined;

  async connect({ address, site, member, cacheInodesMax }: InputOf<'connect'>): Promise<void> {
    this.#client = new RemoteClient({
      dialer: new GrpcDialer({ logger: silentLogger }),
      addresses: [address],
      facts: { software: 'bench', site, member, mountpoint: `/${member}`, pid: process.pid },
      clock: systemClock,
      logger: silentLogger,
      unreachable: { kind: 'wait' },
      ...(cacheInodesMax === undefined ? {} : { cacheInodesMax }),
    });
    this.#client.serve(IDLE_HOST);
    await this.#client.start();
  }

  async leave(): Promise<void> {
    await this.#client?.stop();
    this.#client = undefined;
  }

  async create({ directory, ...load }: InputOf<'create'>): Promise<Timed> {
    const client = this.#joined;
    const parent = await this.#makeDirectory(directory);
    return timed(() =>
      pipelined(load, async (index) => {
        const ino = await client.nextIno();
        const timeNs = systemClock.wallNs();
        const name = parseName(`f${index}`);
        await client.execute({ kind: 'create', parent, name, ino, caller: CALLER, timeNs, ...FILE });
      }),
    );
  }

  async lookup({ directory, ...load }: InputOf<'lookup'>): Promise<Timed> {
    const client = this.#joined;
    const parent = await this.#inoOf(directory);
    return timed(() =>
      pipelined(load, async (index) => {
        const name = parseName(`f${index}`);
        if ((await client.lookup(parent, name)) === undefined)
          throw new Error(`${directory}/${name} is gone`);
      }),
    );
  }

  async visit({ files, entries, inFlight }: InputOf<'visit'>): Promise<void> {
    const client = this.#joined;
    for (let first = 0; first < files; first += entries) {
      const parent = await this.#inoOf(`d${first / entries}`);
      await pipelined({ count: Math.min(entries, files - first), inFlight }, async (index) => {
        const name = parseName(nameOfFilled(first + index));
        if ((await client.lookup(parent, name)) === undefined) throw new Error(`${name} is gone`);
      });
    }
  }

  get #joined(): RemoteClient {
    if (this.#client === undefined) throw new Error('the worker has joined no cluster');
    return this.#client;
  }

  async #makeDirectory(directory: string): Promise<Ino> {
    const client = this.#joined;
    const ino = await client.nextIno();
    const timeNs = systemClock.wallNs();
    const name = parseName(directory);
    await client.execute({
      ...{ kind: 'mkdir', parent: ROOT_INO, name, ino, caller: CALLER, timeNs },
      ...DIRECTORY,
    });
    return ino;
  }

  async #inoOf(directory: string): Promise<Ino> {
    const record = await this.#joined.lookup(ROOT_INO, parseName(directory));
    if (record === undefined) throw new Error(`there is no directory ${directory}`);
    return record.ino;
  }
}
