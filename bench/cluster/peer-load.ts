import { EtcdClient, LmdbStore } from '../../src/coordinator/index.js';
import { type BlockHash, type Ino, parseName, ROOT_INO, systemClock } from '../../src/core/index.js';
import { type KvWrite, MemoryStore, Namespace } from '../../src/namespace/index.js';
import { CALLER, DIRECTORY, FILE, nameOfFilled } from './mount-load.js';
import { pipelined, timed } from './pipelined.js';
import type { InputOf, OutputOf, Timed } from './worker-tasks.js';

/** A machine under load may let etcd wait for its disk. */
const ETCD_CALL_MS = 30_000;
const FILLED_FILE_BYTES = 4096;
/** Files between two waits for the store. */
const FILL_STEP = 4096;

/** What the coordinator decides with, in this process and with nobody between: the most that it could do. */
export async function loadNamespace({
  store,
  path,
  count,
}: InputOf<'namespace'>): Promise<OutputOf<'namespace'>> {
  const kv = store === 'memory' ? new MemoryStore() : LmdbStore.open({ path });
  const namespace = await Namespace.open({ kv, root: CALLER });
  try {
    const parent = makeDirectory(namespace, 'd');
    const create = await timed(async () => {
      for (let i = 0; i < count; i++) {
        makeFile(namespace, parent, `f${i}`);
        if (namespace.congestion() !== undefined) await namespace.congestion();
      }
      await namespace.flush();
    });
    const lookup = await timed(() => {
      for (let i = 0; i < count; i++) namespace.lookup(parent, parseName(`f${i}`));
    });
    return { create, lookup };
  } finally {
    await namespace.close();
  }
}

/** Each create of a file as a transaction of etcd of its own: the keys and values are the coordinator's. */
export async function loadEtcd({ endpoint, prefix, ...load }: InputOf<'etcd'>): Promise<Timed> {
  const creates = await writesOfCreates(load.count);
  const client = new EtcdClient({ endpoints: [endpoint], callMs: ETCD_CALL_MS });
  try {
    return await timed(() =>
      pipelined(load, async (index) => {
        const writes = (creates[index] ?? []).map(({ key, value }) => ({
          put: prefix + key,
          value: valueOf(value),
        }));
        await client.transaction({ compare: [], writes, otherwiseGet: [] });
      }),
    );
  } finally {
    client.close();
  }
}

export async function fillStore({ path, files, entries }: InputOf<'fill'>): Promise<null> {
  const namespace = await Namespace.open({ kv: LmdbStore.open({ path }), root: CALLER });
  try {
    let parent = ROOT_INO;
    for (let i = 0; i < files; i++) {
      if (i % entries === 0) parent = makeDirectory(namespace, `d${i / entries}`);
      commitBlock(namespace, makeFile(namespace, parent, nameOfFilled(i)), i);
      if (i % FILL_STEP === 0) await namespace.flush();
    }
    return null;
  } finally {
    await namespace.close();
  }
}

function makeDirectory(namespace: Namespace, directory: string): Ino {
  const { first: ino } = namespace.reserveInos(1);
  const name = parseName(directory);
  const timeNs = systemClock.wallNs();
  namespace.execute({
    ...{ kind: 'mkdir', parent: ROOT_INO, name, ino, caller: CALLER, timeNs },
    ...DIRECTORY,
  });
  return ino;
}

function makeFile(namespace: Namespace, parent: Ino, file: string): Ino {
  const { first: ino } = namespace.reserveInos(1);
  const timeNs = systemClock.wallNs();
  namespace.execute({
    ...{ kind: 'create', parent, name: parseName(file), ino, caller: CALLER, timeNs },
    ...FILE,
  });
  return ino;
}

function commitBlock(namespace: Namespace, ino: Ino, i: number): void {
  const hash = i.toString(16).padStart(64, '0') as BlockHash;
  const times = systemClock.wallNs();
  namespace.execute({
    ...{ kind: 'commit', ino, baseVersion: 0, size: FILLED_FILE_BYTES, allocatedBytes: FILLED_FILE_BYTES },
    ...{ manifest: { kind: 'inline', blocks: [{ index: 0, hash }] }, sources: ['onprem'] },
    ...{ mtimeNs: times, ctimeNs: times },
  });
}

/** What a coordinator's store is given for each of so many creates, its note of the command included. */
async function writesOfCreates(count: number): Promise<KvWrite[][]> {
  const recorder = new (class extends MemoryStore {
    readonly recorded: KvWrite[][] = [];

    override commit(writes: readonly KvWrite[]): Promise<void> {
      this.recorded.push(writes.map(({ key, value }) => ({ key, value: value && valueOf(value) })));
      return super.commit(writes);
    }
  })();
  const namespace = await Namespace.open({ kv: recorder, root: CALLER });
  const parent = makeDirectory(namespace, 'd');
  const { first, count: reserved } = namespace.reserveInos(count);
  recorder.recorded.length = 0;
  for (let i = 0; i < reserved; i++) {
    const [ino, timeNs] = [(first + i) as Ino, systemClock.wallNs()];
    const note = { key: `applied/1/${i}`, value: Buffer.from(String(ino)) };
    namespace.execute(
      {
        ...{ kind: 'create', parent, name: parseName(`f${i}`), ino, caller: CALLER, timeNs },
        ...FILE,
      },
      () => [note],
    );
  }
  return recorder.recorded;
}

const valueOf = (value: KvWrite['value']): Uint8Array =>
  typeof value === 'function' ? value() : (value ?? Buffer.alloc(0));
