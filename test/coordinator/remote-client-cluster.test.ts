import { afterEach, describe, expect, test } from '@jest/globals';
import { type Ino, type Name, ROOT_INO, systemClock } from '../../src/core/index.js';
import { Coordinator } from '../../src/coordinator/coordinator.js';
import { MemoryNetwork } from '../../src/coordinator/wire/index.js';
import { MemoryStore, S_IFDIR, S_IFREG } from '../../src/namespace/index.js';
import { KernelMount, stamp } from './kernel-mount.js';
import { ADDRESS, SITE } from './scripted-mount.js';

const caller = { uid: 0, gid: 0 };
const TTL_MS = 60_000;
/** How long mounts contend: some hundred changes, and some ten thousand reads. */
const CONTEND_MS = 5000;
const nameOf = (text: string): Name => text as Name;

/** Coordinators one after the other over one store, and mounts, in real time. */
class RealTimeCluster {
  readonly network = new MemoryNetwork();
  readonly links = new Map<KernelMount, ReturnType<MemoryNetwork['link']>>();
  readonly #kv = new MemoryStore();
  #coordinator: Coordinator | undefined;
  #unlisten: () => void = () => undefined;

  async start(mounts: number): Promise<KernelMount[]> {
    await this.#lead();
    await this.#coordinator?.admin.registerSite(SITE);
    for (let i = 0; i < mounts; i++) {
      const link = this.network.link(`m${i}`);
      const mount = new KernelMount(link, `m${i}`, { clock: systemClock });
      this.links.set(mount, link);
      await mount.client.start();
    }
    return [...this.links.keys()];
  }

  async failOver(): Promise<void> {
    this.#unlisten();
    this.#coordinator?.abandon();
    await this.#lead();
  }

  async stop(): Promise<void> {
    for (const { client } of this.links.keys()) await client.stop();
    this.#unlisten();
    this.#coordinator?.abandon();
  }

  async #lead(): Promise<void> {
    const coordinator = await Coordinator.open({ kv: this.#kv, ttlMs: TTL_MS });
    this.#coordinator = coordinator;
    this.#unlisten = this.network.listen(ADDRESS, (stream) => coordinator.accept(stream));
  }
}

const clusters: RealTimeCluster[] = [];
afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.stop();
});

const start = async (mounts: number): Promise<{ cluster: RealTimeCluster; mounts: KernelMount[] }> => {
  const cluster = new RealTimeCluster();
  clusters.push(cluster);
  return { cluster, mounts: await cluster.start(mounts) };
};

let lastNs = 1000;

async function make(mount: KernelMount, kind: 'create' | 'mkdir', parent: Ino, name: string): Promise<Ino> {
  const ino = await mount.client.nextIno();
  const mode = kind === 'create' ? S_IFREG | 0o644 : S_IFDIR | 0o755;
  const timeNs = stamp(++lastNs);
  await mount.execute({ kind, parent, name: nameOf(name), ino, caller, mode, umask: 0, timeNs });
  return ino;
}

/** The requests that a mount sends meanwhile, inode ranges aside. */
async function costs(mount: KernelMount, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = mount.client.report().sent;
  await work();
  const after = Object.entries(mount.client.report().sent);
  const more = after.map(([op, count]) => [op, count - (before[op] ?? 0)] as const);
  return Object.fromEntries(more.filter(([op, count]) => count > 0 && op !== 'reserve-inos'));
}

describe('messages', () => {
  test('whatever is asked a second time costs none', async () => {
    const { mounts } = await start(2);
    const [author, reader] = mounts as [KernelMount, KernelMount];
    const directory = await make(author, 'mkdir', ROOT_INO, 'd');
    const files: Ino[] = [];
    for (let i = 0; i < 50; i++) files.push(await make(author, 'create', directory, `f${i}`));
    const { client } = reader;
    const work = async (): Promise<void> => {
      await client.lookup(ROOT_INO, nameOf('d'));
      await client.readDirectory(directory, '', 256);
      for (const ino of files) await client.acquire(ino, 'read');
      await client.lookup(directory, nameOf('f7'));
      await client.lookup(directory, nameOf('nothing'));
      await client.xattr(files[3] as Ino, 'user.x');
    };
    for (const ino of files)
      await author.client.execute({ kind: 'setattr', ino, uid: 5, timeNs: stamp(++lastNs) });
    const first = await costs(reader, work);
    expect(first).toEqual({ lookup: 1, 'read-directory': 1, acquire: 50 }); // they were born under a write lease
    expect(await costs(reader, work)).toEqual({});
    for (let i = 0; i < 3; i++) expect(await costs(author, () => reader.list(directory, 10))).toEqual({});
  });

  test('a file that another mount makes costs the one that has listed its directory one look-up', async () => {
    const { mounts } = await start(2);
    const [author, reader] = mounts as [KernelMount, KernelMount];
    const directory = await make(author, 'mkdir', ROOT_INO, 'd');
    for (let i = 0; i < 20; i++) await make(author, 'mkdir', directory, `f${i}`);
    expect(await costs(reader, () => reader.list(directory, 256))).toEqual({ 'read-directory': 1 });
    await make(author, 'mkdir', directory, 'new');
    const list = (): Promise<unknown> => reader.list(directory, 256);
    expect(await costs(reader, list)).toEqual({ lookup: 1 });
    expect(await costs(reader, list)).toEqual({});
    expect(await reader.list(directory, 256)).toHaveLength(21);
  });

  test('making a file costs one, in a directory that nobody else looks at', async () => {
    const { mounts } = await start(1);
    const [mount] = mounts as [KernelMount];
    const directory = await make(mount, 'mkdir', ROOT_INO, 'd');
    const work = async (): Promise<void> => {
      const ino = await make(mount, 'create', directory, 'f');
      await mount.write(ino, 10, stamp(++lastNs));
      expect((await mount.lookup(directory, nameOf('f')))?.ino).toBe(ino);
      await mount.client.inode(directory);
    };
    expect(await costs(mount, work)).toEqual({ execute: 1, lookup: 1 }); // the kernel looks before it makes
  });
});

test('a commit whose answer was cut off, and whose file others read by then, costs its mount nothing', async () => {
  const { cluster, mounts } = await start(2);
  const [author, reader] = mounts as [KernelMount, KernelMount];
  const link = cluster.links.get(author);
  const ino = await make(author, 'create', ROOT_INO, 'f');
  await author.write(ino, 10, stamp(++lastNs));
  const { session } = author.client.report();
  const reading = reader.read(ino);
  while (!author.isCommitting) await new Promise(setImmediate);
  link?.stall('down');
  expect((await reading).size).toBe(10);
  link?.cut();
  link?.resume();
  await author.settled();
  expect(author.client.report().session).toEqual(session);
  expect(author.client.holds(ino, 'write')).toBe(false);
  expect((await author.read(ino)).size).toBe(10);
});

/** Numbers from a seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Something that one process sets to 1, 2, 3, ... and that everybody reads. */
interface Register {
  readonly what: string;
  readonly author: KernelMount;
  set(value: number): Promise<void>;
  get(mount: KernelMount): Promise<number>;
}

async function registers(author: KernelMount, directory: Ino, tag: string): Promise<Register[]> {
  const file = await make(author, 'create', directory, `attributes-${tag}`);
  const content = await make(author, 'create', directory, `content-${tag}`);
  const name = nameOf(`name-${tag}`);
  const values = new Map<Ino, number>();
  const replace = async (value: number): Promise<void> => {
    const ino = await make(author, 'create', directory, `new-${tag}`);
    values.set(ino, value);
    const timeNs = stamp(++lastNs);
    const from = { parent: directory, name: nameOf(`new-${tag}`) };
    await author.execute({
      kind: 'rename',
      ...from,
      newParent: directory,
      newName: name,
      mode: 'replace',
      timeNs,
    });
  };
  return [
    {
      ...{ what: `attributes ${tag}`, author },
      set: async (uid) =>
        void (await author.execute({ kind: 'setattr', ino: file, uid, timeNs: stamp(++lastNs) })),
      get: async (mount) => (await mount.stat(file))?.uid ?? -1,
    },
    {
      ...{ what: `xattr ${tag}`, author, set: (value) => setXattr(author, file, value) },
      get: async (mount) => Number(Buffer.from((await mount.client.xattr(file, 'user.n')) ?? []).toString()),
    },
    {
      ...{ what: `name ${tag}`, author, set: replace },
      get: async (mount) => values.get((await mount.lookup(directory, name))?.ino ?? ROOT_INO) ?? 0,
    },
    {
      ...{ what: `listing ${tag}`, author, set: replace },
      get: async (mount) => {
        const found = (await mount.list(directory, 3)).find((entry) => entry.name === name);
        return values.get(found?.ino ?? ROOT_INO) ?? 0;
      },
    },
    {
      ...{ what: `size ${tag}`, author },
      set: async (size) => void (await author.write(content, size, stamp(++lastNs))),
      get: (mount) => mount.sizeOf(content),
    },
    {
      ...{ what: `content ${tag}`, author },
      set: async (size) => void (await author.write(content, size, stamp(++lastNs))),
      get: async (mount) => mount.staged.get(content)?.size ?? (await mount.read(content)).size,
    },
  ];
}

async function setXattr(mount: KernelMount, ino: Ino, value: number): Promise<void> {
  await mount.execute({
    ...{ kind: 'setxattr', ino, name: 'user.n', value: Buffer.from(String(value)), mode: 'either' },
    ...{ killSgid: false, timeNs: stamp(++lastNs) },
  });
}

/** Reads a register on a mount again and again, and says what it has no right to show. */
class Watcher {
  readonly problems: string[] = [];
  /** Per register and kind of value: what its author has been told is done, and what others have been shown. */
  readonly #done = new Map<Register, number>();
  readonly #shown = new Map<Register, number>();

  async write(register: Register, value: number): Promise<void> {
    await register.set(value);
    this.#done.set(register, value);
  }

  /**
   * Who looks sees what was done before it began to look; and, away from the author, what anybody has seen by
   * then. (At the author the kernel may show what was until its own system call returns.)
   */
  async read(register: Register, mount: KernelMount): Promise<void> {
    const own = mount === register.author;
    const least = Math.max(this.#done.get(register) ?? 0, own ? 0 : (this.#shown.get(register) ?? 0));
    const value = await register.get(mount);
    if (!(value >= least))
      this.problems.push(`${register.what}: ${value} is shown after ${least}, own: ${own}`);
    this.#shown.set(register, Math.max(value, this.#shown.get(register) ?? 0));
  }
}

async function contend(seed: number): Promise<void> {
  const random = randomOf(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const { cluster, mounts } = await start(3);
  const directory = await make(mounts[0] as KernelMount, 'mkdir', ROOT_INO, 'd');
  const watcher = new Watcher();
  const groups: Register[][] = [];
  for (const [i, mount] of mounts.entries()) groups.push(await registers(mount, directory, String(i)));
  let writing = true;
  // One process writes all registers of a mount: those that share a name or content count up together.
  const untilMs = systemClock.monotonicMs() + CONTEND_MS;
  const writers = groups.map(async (group) => {
    for (let value = 1; systemClock.monotonicMs() < untilMs; value++) await watcher.write(pick(group), value);
  });
  const readers = mounts.flatMap((mount) =>
    Array.from({ length: 3 }, async () => {
      while (writing) {
        await watcher.read(pick(pick(groups)), mount);
        if (random() < 0.2) await new Promise(setImmediate);
      }
    }),
  );
  const faults = (async () => {
    while (writing) {
      await systemClock.sleep(50 + random() * 200);
      const link = cluster.links.get(pick(mounts));
      if (link === undefined) continue;
      const fault = random();
      if (fault < 0.5) link.delayMs = Math.floor(random() * 4);
      else if (fault < 0.9) link.cut();
      else await cluster.failOver();
    }
  })();
  const written = await Promise.allSettled(writers);
  writing = false;
  const ended = [...written, ...(await Promise.allSettled([...readers, faults]))];
  expect(ended.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []))).toEqual([]);
  expect(watcher.problems).toEqual([]);
}

describe('mounts that work at the same time', () => {
  const seeds =
    process.env['SEED'] === undefined ? [Date.now(), Date.now() + 1] : [Number(process.env['SEED'])];
  test.each(seeds)('never show what was, once it was changed (SEED=%i)', async (seed) => {
    await contend(seed % 2 ** 31);
  });
});
