import { type KvEntry, type KvKey, type KvStore, endOfPrefix } from './kv-store.js';

/** Entries fetched at a time: some 200 KB of records, a millisecond or two. */
const SCAN_ENTRIES = 1000;

/** All entries whose key starts with `prefix`, in order, a part at a time. What changes behind the scan is not seen. */
export function* scanPrefix(kv: KvStore, prefix: KvKey): Generator<KvEntry> {
  const end = endOfPrefix(prefix);
  let start = prefix;
  for (;;) {
    const entries = kv.range({ start, afterStart: start !== prefix, end, limit: SCAN_ENTRIES });
    yield* entries;
    const last = entries[SCAN_ENTRIES - 1];
    if (last === undefined) return;
    start = last.key;
  }
}
