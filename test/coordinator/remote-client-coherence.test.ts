import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Ino, type Name, ROOT_INO } from '../../src/core/index.js';
import { Coordinator } from '../../src/coordinator/coordinator.js';
import {
  type Command,
  type InodeRecord,
  MemoryStore,
  Namespace,
  S_IFDIR,
  S_IFREG,
  checkNamespace,
  isDirectory,
  isRegular,
} from '../../src/namespace/index.js';
import { KernelMount, stamp } from './kernel-mount.js';
import { Cluster, TTL_MS } from './scripted-mount.js';
import { turns } from './stepped-clock.js';

const caller = { uid: 0, gid: 0 };
const NAMES = ['a', 'b', 'c', 'd', 'e'] as Name[];

interface Plan {
  readonly kind: string;
  readonly who: number;
  readonly at: number;
  readonly name: number;
  readonly to: number;
  readonly newName: number;
  /** Turns of the event loop until the connection of one is cut; none when it is not. */
  readonly cutAfter: number | undefined;
}

const CHANGES = {
  ...{ create: 6, mkdir: 3, link: 2, unlink: 4, rmdir: 2, rename: 4, exchange: 1 },
  ...{ setxattr: 2, removexattr: 1, chmod: 2, truncate: 2, write: 5, commit: 2, read: 3, tmpfile: 1 },
  ...{ open: 2, forget: 1, failover: 1, lose: 1, cut: 1 },
};
const weighted = Object.entries(CHANGES).map(([kind, weight]) => ({ arbitrary: fc.constant(kind), weight }));
const small = fc.nat(11);
const plan = fc.record({
  kind: fc.oneof(...weighted),
  ...{ who: fc.nat(1), at: small, name: fc.nat(4), to: small, newName: fc.nat(4) },
  cutAfter: fc.oneof({ arbitrary: fc.constant(undefined), weight: 6 }, { arbitrary: fc.nat(9), weight: 1 }),
});

/** Two mounts of one coordinator, and a namespace that is told what they have done: what each of them must show. */
class Pair {
  readonly cluster: Cluster;
  readonly mounts: readonly KernelMount[];
  readonly links;
  readonly model: Namespace;
  readonly made: Ino[] = [ROOT_INO];
  nowNs = 1000;

  private constructor(cluster: Cluster, model: Namespace) {
    this.cluster = cluster;
    this.model = model;
    this.links = ['one', 'two'].map((name) => cluster.network.link(name));
    const { clock } = cluster;
    // Small enough that the cache is always evicting.
    const bounds = { clock, cacheInodesMax: 12, cacheNamesMax: 12 };
    this.mounts = this.links.map((link, i) => new KernelMount(link, `m${i}`, i === 0 ? bounds : { clock }));
    for (const mount of this.mounts) mount.committed = (command) => void model.execute(command);
  }

  static async make(): Promise<Pair> {
    const cluster = await Cluster.start();
    const model = await Namespace.open({ kv: new MemoryStore(), root: caller, clock: cluster.clock });
    const pair = new Pair(cluster, model);
    for (const { client } of pair.mounts) await client.start();
    return pair;
  }

  async stop(): Promise<void> {
    for (const { client } of this.mounts) await client.stop();
    await turns(40); // the goodbyes arrive
    this.cluster.stop();
  }

  /** Time passes until it is done: whoever dials again waits for it. */
  async until<T>(done: Promise<T>): Promise<T> {
    let over = false;
    const end = (): void => void (over = true);
    done.then(end, end);
    for (let i = 0; !over; i++) {
      await new Promise(setImmediate);
      if (i > 40) await this.cluster.clock.advance(20);
      if (i > 2000) throw new Error('it takes for ever');
    }
    return done;
  }

  async step(plan: Plan): Promise<void> {
    const { who, cutAfter } = plan;
    const cutting = cutAfter === undefined ? undefined : this.#cutLater(plan.to % 2, cutAfter);
    const mount = this.mounts[who] as KernelMount;
    await this.until(this.#do(plan, mount));
    await cutting;
  }

  async #cutLater(who: number, cutAfter: number): Promise<void> {
    for (let i = 0; i < cutAfter; i++) await new Promise(setImmediate);
    this.links[who]?.cut();
  }

  async #do(plan: Plan, mount: KernelMount): Promise<void> {
    const ino = this.#pick(plan.at);
    switch (plan.kind) {
      case 'write':
        if (this.#isFile(ino)) await this.#write(mount, ino, plan.to);
        return;
      case 'commit':
        return mount.commit(ino);
      case 'read':
        if (!this.#isFile(ino)) return;
        expect(await this.#settled(mount.read(ino))).toEqual(this.#record(ino));
        return;
      case 'open':
        if ((await mount.stat(ino)) !== undefined) mount.open.add(ino);
        return;
      case 'forget':
        if (mount.staged.size === 0) mount.forgetKernel();
        return;
      case 'cut':
        this.links[plan.who]?.cut();
        return;
      case 'failover':
        return this.cluster.failOver();
      case 'lose':
        return this.#lose(plan.who, mount);
      default:
        return this.#execute(mount, await this.#commandOf(plan, mount));
    }
  }

  /** What made another mount commit may be over before that one has been told that its commit is done. */
  async #settled<T>(done: Promise<T>): Promise<T> {
    try {
      return await done;
    } finally {
      for (const mount of this.mounts) await mount.settled();
    }
  }

  async #write(mount: KernelMount, ino: Ino, size: number): Promise<void> {
    const written = await this.#settled(mount.write(ino, size, stamp(++this.nowNs)));
    expect(mount.staged.get(ino)).toEqual(written);
    for (const other of this.mounts) if (other !== mount) expect(other.staged.has(ino)).toBe(false);
  }

  /** Out of reach for longer than a session lives; what was not committed is gone. */
  async #lose(who: number, mount: KernelMount): Promise<void> {
    const link = this.links[who];
    if (link === undefined) return;
    link.unreachable = true;
    link.cut();
    for (let i = 0; i < 15; i++) await this.cluster.clock.advance(TTL_MS / 10);
    link.unreachable = false;
    mount.open.clear();
    for (let i = 0; i < 30 && mount.client.report().state !== 'connected'; i++)
      await this.cluster.clock.advance(TTL_MS / 20);
    expect(mount.client.report().state).toBe('connected');
  }

  async #execute(mount: KernelMount, command: Command | undefined): Promise<void> {
    if (command === undefined) return;
    let real = 'ok';
    try {
      await this.#settled(mount.execute(command));
    } catch (thrown) {
      real = (thrown as { code: string }).code;
    }
    let expected = 'ok';
    try {
      const { inode } = this.model.execute(command);
      if (!this.made.includes(inode.ino)) this.made.push(inode.ino);
    } catch (thrown) {
      expected = (thrown as { code: string }).code;
    }
    expect([command, real]).toEqual([command, expected]);
  }

  async #commandOf(plan: Plan, mount: KernelMount): Promise<Command | undefined> {
    const timeNs = stamp(++this.nowNs);
    const [parent, newParent] = [this.#pick(plan.at), this.#pick(plan.to)];
    const [name, newName] = [NAMES[plan.name] as Name, NAMES[plan.newName] as Name];
    const born = { caller, umask: 0, timeNs };
    switch (plan.kind) {
      case 'create':
        return {
          kind: 'create',
          parent,
          name,
          ino: await mount.client.nextIno(),
          ...born,
          mode: S_IFREG | 0o644,
        };
      case 'mkdir':
        return {
          kind: 'mkdir',
          parent,
          name,
          ino: await mount.client.nextIno(),
          ...born,
          mode: S_IFDIR | 0o755,
        };
      case 'tmpfile':
        return { kind: 'tmpfile', parent, ino: await mount.client.nextIno(), ...born, mode: S_IFREG | 0o600 };
      case 'link':
        return { kind: 'link', ino: newParent, parent, name, timeNs };
      case 'unlink':
      case 'rmdir':
        return { kind: plan.kind, parent, name, timeNs };
      case 'rename':
        return { kind: 'rename', parent, name, newParent, newName, mode: 'replace', timeNs };
      case 'exchange':
        return { kind: 'rename', parent, name, newParent, newName, mode: 'exchange', timeNs };
      case 'setxattr':
        return {
          ...{ kind: 'setxattr', ino: parent, name: `user.${name}`, value: Buffer.from(newName) },
          ...{ mode: 'either', killSgid: false, timeNs },
        };
      case 'removexattr':
        return { kind: 'removexattr', ino: parent, name: `user.${name}`, timeNs };
      case 'chmod':
        return { kind: 'setattr', ino: parent, mode: plan.to + 0o600, timeNs };
      case 'truncate': {
        // Its own staged content a mount would truncate itself.
        if (!this.#isFile(parent) || mount.staged.has(parent)) return undefined;
        return {
          kind: 'setattr',
          ino: parent,
          size: plan.to,
          allocatedBytes: plan.to,
          mtimeNs: timeNs,
          timeNs,
        };
      }
      default:
        throw new Error(`no such step: ${plan.kind}`);
    }
  }

  /** What has no name and is not open is deleted at a time that is the coordinator's: it is left alone. */
  #pick(at: number): Ino {
    const usable = this.made.filter((ino) => {
      const record = this.model.inode(ino);
      return record !== undefined && record.nlink > 0;
    });
    return usable[at % usable.length] ?? ROOT_INO;
  }

  #isFile(ino: Ino): boolean {
    const record = this.model.inode(ino);
    return record !== undefined && isRegular(record);
  }

  #record(ino: Ino): InodeRecord | undefined {
    return this.model.inode(ino);
  }

  /** Every mount shows what the model shows: with what one of them writes, as that one sees it. */
  async check(): Promise<void> {
    for (const mount of this.mounts) await this.until(this.#checkOne(mount));
  }

  async #checkOne(mount: KernelMount): Promise<void> {
    for (const ino of this.made) {
      const record = this.#record(ino);
      if (record === undefined || (record.nlink === 0 && !mount.open.has(ino))) continue;
      const shown = await mount.stat(ino);
      expect({ ino, shown: this.#overlaid(shown) }).toEqual({ ino, shown: this.#overlaid(record) });
      const names = await mount.client.xattrNames(ino);
      expect([...names].sort()).toEqual([...this.model.xattrNames(ino)].sort());
      for (const name of names) {
        const value = Buffer.from((await mount.client.xattr(ino, name)) ?? []);
        expect(value).toEqual(Buffer.from(this.model.xattr(ino, name) ?? []));
      }
      if (isDirectory(record)) await this.#checkDirectory(mount, ino);
    }
  }

  async #checkDirectory(mount: KernelMount, ino: Ino): Promise<void> {
    for (const name of NAMES) {
      const shown = (await mount.lookup(ino, name))?.ino;
      expect([ino, name, shown]).toEqual([ino, name, this.model.lookup(ino, name)?.ino]);
    }
    expect([ino, await mount.list(ino, 2)]).toEqual([ino, this.model.readDirectory(ino, '', 100)]);
  }

  #overlaid(record: InodeRecord | undefined): InodeRecord | undefined {
    if (record === undefined) return undefined;
    const live = this.mounts.find(({ staged }) => staged.has(record.ino))?.staged.get(record.ino);
    return live === undefined ? record : { ...record, ...live };
  }

  /** When nobody uses anything any more, exactly what has a name is left, and nothing contradicts anything. */
  async checkEnd(): Promise<void> {
    for (const mount of this.mounts) {
      for (const ino of [...mount.staged.keys()]) await this.until(mount.commit(ino));
      mount.forgetKernel();
    }
    await this.stop();
    const { kv } = this.cluster;
    const end = await Coordinator.open({ kv, clock: this.cluster.clock, ttlMs: TTL_MS });
    await this.cluster.clock.advance(TTL_MS * 1.5); // who was cut off last could not say goodbye
    const problems = await checkNamespace(kv, { repair: false, timeNs: stamp(this.nowNs) });
    expect(problems).toMatchObject({ problems: [] });
    const left = this.made.filter((ino) => (this.#record(ino)?.nlink ?? 0) > 0);
    expect((await end.admin.status()).inodes).toBe(left.length);
    await end.stop();
  }
}

const pairs: Pair[] = [];
afterEach(async () => {
  for (const pair of pairs.splice(0)) await pair.stop();
});

describe('two mounts of one coordinator', () => {
  test('show at every moment what all have done so far, whatever is cut, lost or taken over', async () => {
    const property = fc.asyncProperty(fc.array(plan, { minLength: 10, maxLength: 40 }), async (plans) => {
      const pair = await Pair.make();
      pairs.push(pair);
      for (const each of plans) {
        await pair.step(each);
        await pair.check();
      }
      await pair.checkEnd();
      pairs.pop();
    });
    await fc.assert(property, { numRuns: 40 });
  });
});
