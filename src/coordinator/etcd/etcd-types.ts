/** A key of etcd as a latin1 string: one byte per character, as in the KvStore port. */
export type EtcdKey = string;

/** Revisions and lease ids have 64 bits: bigint for what is compared, decimal text for what is only named. */
export type Revision = bigint;
export type LeaseId = string;

export interface EtcdEntry {
  readonly key: EtcdKey;
  readonly value: Uint8Array;
  readonly createRevision: Revision;
  readonly modRevision: Revision;
  readonly lease: LeaseId;
}

/** What must hold of a key for a transaction to take its first branch. An absent key has revisions of 0. */
export type EtcdCompare =
  | { readonly key: EtcdKey; readonly createRevision: Revision }
  | { readonly key: EtcdKey; readonly modifiedBefore: Revision }
  | { readonly key: EtcdKey; readonly value: Uint8Array };

export type EtcdWrite =
  | { readonly put: EtcdKey; readonly value: Uint8Array; readonly lease?: LeaseId }
  /** With `end`: all keys from `delete` up to, not including, `end`. */
  | { readonly delete: EtcdKey; readonly end?: EtcdKey };

export interface EtcdTransaction {
  readonly compare: readonly EtcdCompare[];
  readonly writes: readonly EtcdWrite[];
  /** Keys to read, in the same instant, when a comparison does not hold. */
  readonly otherwiseGet: readonly EtcdKey[];
}

export interface EtcdTransactionAnswer {
  readonly succeeded: boolean;
  readonly revision: Revision;
  /** One for each of `otherwiseGet`; empty when the transaction succeeded. */
  readonly found: readonly (EtcdEntry | undefined)[];
}

export interface EtcdRange {
  readonly start: EtcdKey;
  readonly end: EtcdKey;
  readonly limit: number;
  /** As of this revision; absent: now, by agreement of the members (linearizable). */
  readonly revision?: Revision;
}

export interface EtcdPage {
  readonly entries: readonly EtcdEntry[];
  readonly more: boolean;
  /** The store's when this was read. */
  readonly revision: Revision;
}

export type EtcdEvent =
  | { readonly kind: 'put'; readonly entry: EtcdEntry }
  | { readonly kind: 'delete'; readonly key: EtcdKey; readonly revision: Revision };

export function revisionOf(event: EtcdEvent): Revision {
  return event.kind === 'put' ? event.entry.modRevision : event.revision;
}

/** One message of a watch stream. */
export type EtcdWatchMessage =
  /** It is registered. The revision in this message says nothing of what will be delivered. */
  | { readonly kind: 'created' }
  /** `complete`: all events of the last one's revision have come with this message. */
  | { readonly kind: 'events'; readonly events: readonly EtcdEvent[]; readonly complete: boolean }
  /** Sent by etcd of its own: every event up to this revision has been delivered on this stream. */
  | { readonly kind: 'progress'; readonly revision: Revision }
  /** The answer to a ping: the stream lives. */
  | { readonly kind: 'alive' }
  /** Revisions before this one are gone, and the watch with them. */
  | { readonly kind: 'compacted'; readonly revision: Revision };

export interface EtcdWatchRequest {
  readonly start: EtcdKey;
  readonly end: EtcdKey;
  readonly fromRevision: Revision;
}

export interface EtcdWatchStream {
  /** Asks for a sign of life, which comes as the message `alive`. */
  ping(): void;
  /** Nothing is delivered any more, `closed` included. */
  cancel(): void;
  /** Cancels, and the next calls go to another member: this one is silent. */
  leave(): void;
}

export interface EtcdWatchHandler {
  message(message: EtcdWatchMessage): void;
  /** At most once, and last. */
  closed(error: Error): void;
}
