export interface ObjectInfo {
  readonly key: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

export interface ObjectRead {
  /** The bytes asked for; fewer where the object ends earlier. */
  readonly bytes: Uint8Array;
  /** Size of the whole object. */
  readonly totalBytes: number;
}

/**
 * Where a site keeps its objects. Keys are relative paths of `[A-Za-z0-9._-]` segments.
 * Promises, held by every implementation (test/sites/object-store-contract.ts):
 * - `put` is atomic (a reader sees the whole object or none) and idempotent; when it resolves the object
 *   survives a crash of this process, and after `sync` a power cut;
 * - a `get`, `head` or `list` that starts after a `put` or `delete` has resolved sees its effect;
 * - `delete` of what is not there succeeds;
 * - errors are GfsErrors: ENOENT for a missing object, ENOSPC for a full store or quota, EACCES for secrets or
 *   rights that do not suffice, CONFIG for a bucket, certificate or region that is wrong, CORRUPT for content
 *   that is provably not what was sent, CANCELLED, UNAVAILABLE when trying again may help, EIO otherwise.
 */
export interface ObjectStore {
  put(key: string, body: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** @param range bytes `[offset, offset + length)`; the whole object when absent */
  get(key: string, range?: { offset: number; length: number }, signal?: AbortSignal): Promise<ObjectRead>;
  head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined>;
  delete(key: string, signal?: AbortSignal): Promise<void>;
  /** All objects whose key starts with `prefix`, in key order. */
  list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo>;
  sync(): Promise<void>;
  /**
   * Optional: makes an object of a range of a local file without a second copy on the disk, by a hard
   * link (`offset` 0 and `length` the whole file) or a reflink. Returns how, or undefined when neither is
   * possible: the caller then `put`s. After 'linked' the file and the object are one: whoever writes to
   * the file must call `unshare` first, or give it content of its own.
   */
  adopt?(
    key: string,
    file: { path: string; fd: number; offset: number; length: number; fileBytes: number },
  ): Promise<'linked' | 'reflinked' | undefined>;
  /** Optional, with `adopt`: gives the object a copy of its own, so that the file may be written. */
  unshare?(key: string): Promise<void>;
}
