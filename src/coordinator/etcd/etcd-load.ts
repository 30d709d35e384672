import { GfsError, toGfsError } from '../../core/index.js';
import type { KvKey, KvStore, KvWrite } from '../../namespace/index.js';
import type { EtcdClient } from './etcd-client.js';
import { type ChainLink, type EtcdKeys, decodeChainLink } from './etcd-keys.js';
import type { EtcdEntry, EtcdKey, Revision } from './etcd-types.js';

/** etcd takes 12 ms for so many small entries; at worst (xattrs of 64 KiB) they are 64 MiB. */
const PAGE_ENTRIES = 1000;
/** Before and after all keys: the port's start with a printable character. */
const FIRST: KvKey = '';
const LAST: KvKey = '\xff';

export interface LoadOptions {
  readonly client: EtcdClient;
  readonly keys: EtcdKeys;
  readonly store: KvStore;
  readonly signal: AbortSignal;
  readonly onPage: (entries: number) => void;
}

export interface Loaded {
  readonly revision: Revision;
  readonly chain: ChainLink | undefined;
}

/**
 * Makes the store hold exactly what etcd held at one revision: what is not there is deleted.
 * @throws GfsError ESTALE when that revision was compacted meanwhile: then from the beginning; CANCELLED; of the store
 */
export async function loadFromEtcd({ client, keys, store, signal, onPage }: LoadOptions): Promise<Loaded> {
  let revision: Revision | undefined;
  let chain: ChainLink | undefined;
  let start: EtcdKey = keys.start;
  let done: KvKey = FIRST;
  let failure: GfsError | undefined;
  for (let more = true; more;) {
    const asked = { start, end: keys.end, limit: PAGE_ENTRIES };
    const page = await client.range(revision === undefined ? asked : { ...asked, revision });
    if (signal.aborted) throw new GfsError('CANCELLED', 'the mirror is not needed any more');
    revision ??= page.revision;
    const record = page.entries.find(({ key }) => key === keys.chain);
    if (record !== undefined) chain = decodeChainLink(record.value);
    const last = page.entries.at(-1);
    more = page.more && last !== undefined;
    if (last !== undefined) start = after(last.key);
    const end = more ? start.slice(keys.start.length) : LAST;
    store.commit(difference(store, done, end, contentsOf(page.entries, keys))).catch((thrown: unknown) => {
      failure ??= toGfsError(thrown);
    });
    await store.congestion?.();
    if (failure !== undefined) throw failure;
    done = end;
    onPage(page.entries.length);
  }
  await store.sync();
  return { revision: revision ?? 0n, chain };
}

function contentsOf(entries: readonly EtcdEntry[], keys: EtcdKeys): Map<KvKey, Uint8Array> {
  const contents = new Map<KvKey, Uint8Array>();
  for (const entry of entries) {
    const key = keys.fromEtcd(entry.key);
    // A copy: the value is a part of the whole page, which it would keep in memory.
    if (key !== undefined) contents.set(key, Uint8Array.from(entry.value));
  }
  return contents;
}

/** What makes one part of the store, from `start` to before `end`, hold what is given, and nothing else. */
function difference(
  store: KvStore,
  start: KvKey,
  end: KvKey,
  contents: ReadonlyMap<KvKey, Uint8Array>,
): KvWrite[] {
  const writes: KvWrite[] = [];
  const missing = new Map(contents);
  for (let from = start, more = true; more;) {
    const found = store.range({ start: from, end, limit: PAGE_ENTRIES });
    for (const { key, value } of found) {
      const wanted = contents.get(key);
      if (wanted === undefined) writes.push({ key, value: undefined });
      else if (Buffer.compare(wanted, value) === 0) missing.delete(key);
    }
    const last = found.at(-1);
    more = found.length === PAGE_ENTRIES && last !== undefined;
    if (last !== undefined) from = after(last.key);
  }
  for (const [key, value] of missing) writes.push({ key, value });
  return writes;
}

/** The least key that is greater. */
function after(key: string): string {
  return `${key}\0`;
}
