import type { KvKey, KvStore } from '../../namespace/index.js';

export interface KeyRange {
  readonly start: KvKey;
  /** Not included. */
  readonly end: KvKey;
}

/**
 * Deletions as ranges, each of which etcd counts as one operation: a file with 1,000 xattrs goes in a handful.
 * A range joins neighbours between which there is nothing that stays.
 * @param deletions in any order, each once
 * @param kept keys that stay or are written, whether the store has them or not
 * @param kv as it is when the deletions are carried out
 */
export function deletionRanges(
  deletions: Iterable<KvKey>,
  kept: Iterable<KvKey>,
  kv: Pick<KvStore, 'range'>,
): KeyRange[] {
  const stays = new Set(kept);
  const keys = [...deletions, ...stays].sort(compareBytes);
  const ranges: { start: KvKey; end: KvKey }[] = [];
  let last: KvKey | undefined;
  for (const key of keys) {
    if (stays.has(key)) {
      last = undefined;
      continue;
    }
    const range = ranges.at(-1);
    if (range !== undefined && last !== undefined && isEmpty(kv, last, key)) range.end = after(key);
    else ranges.push({ start: key, end: after(key) });
    last = key;
  }
  return ranges;
}

function isEmpty(kv: Pick<KvStore, 'range'>, start: KvKey, end: KvKey): boolean {
  return kv.range({ start, afterStart: true, end, limit: 1 }).length === 0;
}

/** The least key that is greater. */
function after(key: KvKey): KvKey {
  return `${key}\0`;
}

/** UTF-16 order, which for latin1 is the order of bytes. */
function compareBytes(a: KvKey, b: KvKey): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
