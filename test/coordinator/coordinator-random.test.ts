import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Ino, ROOT_INO } from '../../src/core/index.js';
import { EMPTY_MANIFEST } from '../../src/namespace/index.js';
import { renaming, nameOf } from '../namespace/support.js';
import { CachingMount } from './caching-mount.js';
import { HoldingStore } from './holding-store.js';
import { Cluster } from './scripted-mount.js';
import { turns } from './stepped-clock.js';

const NAMES = ['a', 'b', 'c', 'd'];
const MOUNTS = 3;

const name = fc.constantFrom(...NAMES);
const mount = fc.nat(MOUNTS - 1);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('create' as const), mount, name }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('unlink' as const), mount, name }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rename' as const), mount, name, to: name }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('chmod' as const), mount, name }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('commit' as const), mount, name }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('lookup' as const), mount, name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), mount }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'hold' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'let go' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'disk full' as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'turns' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'fail over' as const }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** Three mounts that change the same few names, each with a cache, while connections and leaders are lost. */
class Scene {
  readonly #cluster: Cluster;
  readonly #kv: HoldingStore;
  readonly mounts: readonly CachingMount[];
  readonly #inos: Ino[][];
  readonly #made = new Map<string, Ino>();
  #modes = 0;

  private constructor(cluster: Cluster, kv: HoldingStore, mounts: readonly CachingMount[], inos: Ino[][]) {
    this.#cluster = cluster;
    this.#kv = kv;
    this.mounts = mounts;
    this.#inos = inos;
  }

  static async set(random: () => number): Promise<Scene> {
    const kv = new HoldingStore();
    const cluster = await Cluster.start(kv);
    const mounts: CachingMount[] = [];
    const inos: Ino[][] = [];
    for (let i = 0; i < MOUNTS; i++) {
      const scripted = await cluster.mount(`m${i}`);
      const { first, count } = await scripted.ask({ op: 'reserve-inos', count: 1000 });
      inos.push(Array.from({ length: count }, (_, at) => (first + at) as Ino));
      mounts.push(new CachingMount(scripted, random));
    }
    return new Scene(cluster, kv, mounts, inos);
  }

  async run(each: Step): Promise<void> {
    switch (each.kind) {
      case 'cut':
        await this.#at(each.mount).comeBack();
        break;
      case 'hold':
        this.#kv.holding = true;
        break;
      case 'let go':
        this.#kv.holding = false;
        this.#kv.letGo();
        break;
      case 'disk full':
        await turns(3);
        this.#kv.fail();
        break;
      case 'turns':
        await turns(3);
        break;
      case 'fail over':
        this.#kv.holding = false;
        this.#kv.letGo(); // what was handed over is found by the next leader
        await this.#cluster.failOver();
        await Promise.all(this.mounts.map((other) => other.comeBack()));
        break;
      case 'lookup':
        this.#at(each.mount).send({ op: 'lookup', parent: ROOT_INO, name: nameOf(each.name) });
        break;
      default:
        this.#command(each);
    }
  }

  #command(each: Extract<Step, { kind: 'create' | 'unlink' | 'rename' | 'chmod' | 'commit' }>): void {
    const { mount: scripted } = this.#at(each.mount);
    const entry = { parent: ROOT_INO, name: nameOf(each.name) };
    const ino = this.#made.get(each.name) ?? ROOT_INO;
    const send = (command: Parameters<typeof scripted.command>[0]): void =>
      this.#at(each.mount).send(scripted.command(command));
    switch (each.kind) {
      case 'create': {
        const fresh = this.#inos[each.mount]?.shift() as Ino;
        this.#made.set(each.name, fresh);
        send({ kind: 'create', ...entry, ino: fresh, caller: { uid: 1, gid: 1 }, mode: 0o644, umask: 0 });
        break;
      }
      case 'unlink':
        send({ kind: 'unlink', ...entry });
        break;
      case 'rename':
        send(renaming([ROOT_INO, each.name], [ROOT_INO, each.to]));
        break;
      case 'chmod':
        send({ kind: 'setattr', ino, mode: this.#modes++ % 0o777 });
        break;
      case 'commit':
        send({ kind: 'commit', ino, baseVersion: 0, manifest: EMPTY_MANIFEST, size: 7, allocatedBytes: 7 });
        break;
    }
  }

  #at(index: number): CachingMount {
    return this.mounts[index] as CachingMount;
  }

  /** Nothing is held back, and everything is answered. */
  async settle(): Promise<void> {
    this.#kv.holding = false;
    this.#kv.letGo();
    for (let i = 0; i < 100 && this.mounts.some(({ unanswered }) => unanswered.size > 0); i++) await turns();
    expect(this.mounts.map(({ unanswered }) => [...unanswered.values()])).toEqual(this.mounts.map(() => []));
  }

  /** What each mount keeps is what there is; nothing was made twice, and nothing is left of what was removed. */
  async check(): Promise<void> {
    const witness = await this.#cluster.mount('witness');
    const names = new Map<string, Ino | 'absent'>();
    for (const each of NAMES) names.set(each, (await witness.lookup(each)).inode?.record.ino ?? 'absent');
    for (const { names: kept, records, mount: scripted } of this.mounts) {
      for (const [each, ino] of kept)
        expect([scripted.member, each, ino]).toEqual([scripted.member, each, names.get(each)]);
      for (const [ino, record] of records) {
        const now = (await witness.ask({ op: 'inode', ino })).inode?.record;
        expect([scripted.member, record]).toEqual([scripted.member, now]);
      }
    }
    for (const { mount: scripted } of this.mounts) scripted.say({ kind: 'goodbye' });
    witness.say({ kind: 'release', inos: this.mounts.flatMap(({ records }) => [...records.keys()]) });
    await turns();
    const found = [...names.values()].filter((ino) => ino !== 'absent').length;
    expect((await witness.ask({ op: 'statistics' })).inodes).toBe(1 + found);
    const root = (await witness.ask({ op: 'inode', ino: ROOT_INO })).inode?.record;
    expect(root?.entries).toBe(found);
  }

  stop(): void {
    this.#cluster.stop();
  }
}

test('whatever mounts do while connections and leaders are lost: each command happens once, and no cache is stale', async () => {
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 5, maxLength: 60 }),
    fc.integer({ min: 1 }),
    async (steps, seed) => {
      let state = seed;
      const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
      const scene = await Scene.set(random);
      try {
        for (const each of steps) await scene.run(each);
        await scene.settle();
        await scene.check();
      } finally {
        scene.stop();
      }
    },
  );
  await fc.assert(property, { numRuns: 150, timeout: 60_000 });
});
