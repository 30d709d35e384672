import { GfsError, ROOT_INO, type TimeNs } from '../core/index.js';
import { encodeCounter, encodeInode } from './codec.js';
import type { Keys } from './keys.js';
import type { KvStore } from './kv-store.js';
import { EMPTY_MANIFEST, type InodeRecord, NO_SOURCES, S_IFDIR } from './records.js';

/** Version of the keys and records of a whole store; raised only by an explicit upgrade. */
export const STORE_SCHEMA = 1;

/** The value of `meta/schema`, as JSON. */
export interface StoreIdentity {
  readonly schema: number;
  readonly clusterId: string;
}

/** What a new store is born with. */
export interface NewStore {
  readonly clusterId: string;
  /** Owner of the root directory, whose mode is 0755. */
  readonly uid: number;
  readonly gid: number;
  readonly timeNs: TimeNs;
}

/**
 * Reads what kind of store this is.
 * @returns undefined for a store without any schema record
 * @throws GfsError CONFIG for a store that this version does not understand
 */
export function readIdentity(kv: KvStore, keys: Keys): StoreIdentity | undefined {
  const bytes = kv.get(keys.schema);
  if (bytes === undefined) return undefined;
  let identity: Partial<StoreIdentity>;
  try {
    identity = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<StoreIdentity>;
  } catch (cause) {
    throw new GfsError('CONFIG', 'this is no GlobalFS metadata store: its schema record is not JSON', {
      cause,
    });
  }
  if (identity.schema !== STORE_SCHEMA || typeof identity.clusterId !== 'string') {
    throw new GfsError(
      'CONFIG',
      `the metadata store has schema ${String(identity.schema)}; this version of GlobalFS reads schema ${STORE_SCHEMA}`,
    );
  }
  return { schema: STORE_SCHEMA, clusterId: identity.clusterId };
}

/** An empty root directory. */
export function rootDirectory({ uid, gid, timeNs }: Pick<NewStore, 'uid' | 'gid' | 'timeNs'>): InodeRecord {
  return {
    ino: ROOT_INO,
    mode: S_IFDIR | 0o755,
    uid,
    gid,
    nlink: 2,
    size: 0,
    allocatedBytes: 0,
    rdev: 0,
    atimeNs: timeNs,
    mtimeNs: timeNs,
    ctimeNs: timeNs,
    btimeNs: timeNs,
    flags: 0,
    version: 0,
    manifest: EMPTY_MANIFEST,
    sources: NO_SOURCES,
    target: '',
    parent: ROOT_INO,
    entries: 0,
  };
}

/** Makes an empty store into a filesystem with an empty root directory. */
export async function initialise(kv: KvStore, keys: Keys, birth: NewStore): Promise<void> {
  const identity: StoreIdentity = { schema: STORE_SCHEMA, clusterId: birth.clusterId };
  await kv.commit([
    { key: keys.schema, value: Buffer.from(JSON.stringify(identity), 'utf8') },
    { key: keys.nextIno, value: encodeCounter(ROOT_INO + 1) },
    { key: keys.inodeCount, value: encodeCounter(1) },
    { key: keys.inode(ROOT_INO), value: encodeInode(rootDirectory(birth)) },
  ]);
  await kv.sync();
}
