import { GfsError } from '../../core/index.js';
import { type KvKey, endOfPrefix } from '../../namespace/index.js';
import type { EtcdKey, Revision } from './etcd-types.js';

/** Who leads: JSON of Leader, bound to the leader's lease. In etcd only, as the next one. */
const LEADER: KvKey = 'leader';
/** The chain record: `<term>/<number>` of the last transaction that was applied. */
const CHAIN: KvKey = 'meta/commit';

/** Where a cluster's keys are in etcd: `/globalfs/<cluster>/`, then the key of the KvStore port. */
export class EtcdKeys {
  readonly start: EtcdKey;
  readonly end: EtcdKey;
  readonly leader: EtcdKey;
  readonly chain: EtcdKey;
  /** Both, as the KvStore port would name them. */
  readonly internal: readonly KvKey[] = [LEADER, CHAIN];

  /** @throws GfsError CONFIG for a name that is no single step of a path */
  constructor(cluster: string) {
    if (!/^[A-Za-z0-9._-]{1,64}$/.test(cluster)) {
      throw new GfsError(
        'CONFIG',
        `not a name of a cluster: ${JSON.stringify(cluster)} (letters, digits, . _ -)`,
      );
    }
    this.start = `/globalfs/${cluster}/`;
    this.end = endOfPrefix(this.start);
    this.leader = this.start + LEADER;
    this.chain = this.start + CHAIN;
  }

  toEtcd(key: KvKey): EtcdKey {
    return this.start + key;
  }

  /** @returns undefined for the two keys that are not the store's contents */
  fromEtcd(key: EtcdKey): KvKey | undefined {
    return key === this.leader || key === this.chain ? undefined : key.slice(this.start.length);
  }
}

/** The chain record. A term is named by the revision at which its leader key was made. */
export interface ChainLink {
  readonly term: Revision;
  readonly number: number;
}

export function encodeChainLink({ term, number }: ChainLink): Uint8Array {
  return Buffer.from(`${term}/${number}`);
}

/** @throws GfsError CORRUPT */
export function decodeChainLink(value: Uint8Array): ChainLink {
  const text = Buffer.from(value).toString('latin1');
  const [, term, number] = /^([0-9]+)\/([0-9]+)$/.exec(text) ?? [];
  if (term === undefined || number === undefined) {
    throw new GfsError('CORRUPT', `not a chain record: ${JSON.stringify(text)}`);
  }
  return { term: BigInt(term), number: Number(number) };
}
