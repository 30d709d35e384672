import { GfsError, invariant } from '../../core/index.js';
import type { EtcdEntry, EtcdEvent, EtcdKey, EtcdWatchMessage, EtcdWatchRequest } from './etcd-types.js';

/** As the protocol's messages are decoded: 64-bit fields as decimal text, whose digits a number would lose. */
export interface RawEntry {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly create_revision: string;
  readonly mod_revision: string;
  readonly lease: string;
}

export interface RawWatchResponse {
  readonly header: { readonly revision: string };
  readonly watch_id: string;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compact_revision: string;
  readonly cancel_reason: string;
  readonly fragment: boolean;
  readonly events: readonly { readonly type: string; readonly kv: RawEntry }[];
}

export function bytes(key: EtcdKey): Buffer {
  return Buffer.from(key, 'latin1');
}

export function entryOf(kv: RawEntry): EtcdEntry {
  return {
    key: kv.key.toString('latin1'),
    value: kv.value,
    createRevision: BigInt(kv.create_revision),
    modRevision: BigInt(kv.mod_revision),
    lease: kv.lease,
  };
}

export function watchRequestOf({ start, end, fromRevision }: EtcdWatchRequest): object {
  return {
    key: bytes(start),
    range_end: bytes(end),
    start_revision: String(fromRevision),
    progress_notify: true,
    fragment: true,
  };
}

/** etcd answers progress requests for no watch in particular. */
const NO_WATCH_ID = '-1';

export function watchMessageOf(response: RawWatchResponse): EtcdWatchMessage | GfsError {
  // A watch that is refused is created and cancelled in one message.
  if (response.created && !response.canceled) return { kind: 'created' };
  if (response.compact_revision !== '0') {
    return { kind: 'compacted', revision: BigInt(response.compact_revision) };
  }
  if (response.canceled) {
    return new GfsError('UNAVAILABLE', `etcd ended the watch: ${response.cancel_reason}`);
  }
  if (response.events.length > 0) {
    return { kind: 'events', events: response.events.map(eventOf), complete: !response.fragment };
  }
  // In Debian's 3.4.23, for one, the answer to a request can overtake events (etcd-io/etcd#15220): no progress.
  if (response.watch_id === NO_WATCH_ID) return { kind: 'alive' };
  return { kind: 'progress', revision: BigInt(response.header.revision) };
}

function eventOf({ type, kv }: RawWatchResponse['events'][number]): EtcdEvent {
  const entry = entryOf(kv);
  const kind = type.toUpperCase();
  invariant(kind === 'PUT' || kind === 'DELETE', `etcd sent an event of unknown type ${kind}`);
  return kind === 'PUT'
    ? { kind: 'put', entry }
    : { kind: 'delete', key: entry.key, revision: entry.modRevision };
}
