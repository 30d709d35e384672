import {
  ClientClosedError,
  CompareResult,
  CompareTarget,
  Etcd3,
  EtcdAuthenticationFailedError,
  EtcdInvalidAuthTokenError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  GRPCDeadlineExceededError,
  GRPCInvalidArgumentError,
  GRPCNotFoundError,
  GRPCNotImplementedError,
  GRPCOutOfRangeError,
  GRPCResourceExhastedError,
  GRPCUnauthenticatedError,
  type ICompare,
  type IOptions,
  type IRequestOp,
} from 'etcd3';
import { GfsError, type GfsErrorCode } from '../../core/index.js';
import { bytes, entryOf, watchMessageOf, watchRequestOf } from './etcd-messages.js';
import type {
  EtcdCompare,
  EtcdEntry,
  EtcdPage,
  EtcdRange,
  EtcdTransaction,
  EtcdTransactionAnswer,
  EtcdWatchHandler,
  EtcdWatchRequest,
  EtcdWatchStream,
  EtcdWrite,
  LeaseId,
  Revision,
} from './etcd-types.js';

export interface EtcdTls {
  /** PEM: whom to trust, and who we are. A certificate is asked for at each connection, so it outlives restarts of etcd, which a token does not. */
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface EtcdClientOptions {
  /** `http://host:port`, or with `tls` `https://host:port`; all members of one cluster. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls;
  /** What a call may take unless it says otherwise. */
  readonly callMs?: number;
}

/**
 * A frozen member is left after this. A healthy one answers in 1 to 10 ms; an election of etcd's takes 1 to 2 s
 * by its defaults, during which calls fail and are repeated by whoever made them.
 */
const CALL_MS = 1000;
/** A page of a range is the largest answer: 1,000 entries, up to 64 KiB each. */
const RANGE_MS = 10_000;

const CHANNEL_OPTIONS = {
  // A page of a range has no useful bound below 64 MiB; the default of 4 MiB is what 64 xattrs take.
  'grpc.max_receive_message_length': -1,
  // grpc's own 1 s to 120 s would keep a restarted member out for as long.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  // A peer that vanished without a word; etcd refuses pings more often than every 5 s (--grpc-keepalive-min-time).
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3000,
};

type HostPolicy = ReturnType<NonNullable<NonNullable<IOptions['faultHandling']>['host']>>;
type CallOptions = Exclude<IOptions['defaultCallOptions'], undefined | ((...args: never[]) => unknown)>;

/** Without retries nor circuit breaker: errors are translated, and whoever called decides. */
const translating = {
  execute: async (call: (context: { signal: AbortSignal }) => unknown) => {
    try {
      return await call({ signal: NEVER });
    } catch (thrown) {
      throw translate(thrown);
    }
  },
} as unknown as HostPolicy;
const NEVER = new AbortController().signal;

/** One member: unary calls and streams apart, since etcd3 drops all channels of a client when a stream fails. */
interface Member {
  readonly endpoint: string;
  readonly calls: Etcd3;
  readonly streams: Etcd3;
}

/**
 * The one place that knows etcd3, of which only the generated calls are used. Each call is tried once, on
 * one member, and has a deadline. After UNAVAILABLE and TIMEOUT, when nobody knows whether it was carried
 * out, the next call goes to the next member. Repeating is up to the caller, who knows what may be repeated.
 */
export class EtcdClient {
  readonly #members: readonly Member[];
  readonly #callMs: number;
  #current = 0;

  /** Connects when first called. @throws GfsError CONFIG */
  constructor({ endpoints, tls, callMs = CALL_MS }: EtcdClientOptions) {
    if (endpoints.length === 0) throw new GfsError('CONFIG', 'no endpoint of etcd is given');
    const scheme = tls === undefined ? 'http://' : 'https://';
    for (const endpoint of endpoints) {
      if (!endpoint.startsWith(scheme)) {
        throw new GfsError('CONFIG', `an endpoint of etcd must start with ${scheme} here: ${endpoint}`);
      }
    }
    this.#callMs = callMs;
    this.#members = endpoints.map((endpoint) => {
      const make = (): Etcd3 =>
        new Etcd3({
          hosts: endpoint,
          grpcOptions: CHANNEL_OPTIONS,
          faultHandling: { host: () => translating, global: translating },
          ...(tls && { credentials: { rootCertificate: tls.ca, privateKey: tls.key, certChain: tls.cert } }),
        });
      return { endpoint, calls: make(), streams: make() };
    });
  }

  /**
   * @throws GfsError UNAVAILABLE, TIMEOUT: it may have been applied, or be applied yet; ENOSPC; EACCES;
   *   E2BIG for more operations or bytes than etcd takes
   */
  async transaction(transaction: EtcdTransaction, timeoutMs = this.#callMs): Promise<EtcdTransactionAnswer> {
    const request = {
      compare: transaction.compare.map(compareOf),
      success: transaction.writes.map(writeOf),
      failure: transaction.otherwiseGet.map((key) => ({ request_range: { key: bytes(key) } })),
    };
    const answer = await this.#call((etcd, options) => etcd.kv.txn(request, options), timeoutMs);
    return {
      succeeded: answer.succeeded,
      revision: BigInt(answer.header.revision),
      found: answer.succeeded
        ? []
        : answer.responses.map(({ response_range: range }) => range.kvs[0] && entryOf(range.kvs[0])),
    };
  }

  /** @throws GfsError ESTALE when the revision has been compacted; UNAVAILABLE, TIMEOUT, EACCES */
  async range({ start, end, limit, revision }: EtcdRange, timeoutMs = RANGE_MS): Promise<EtcdPage> {
    const request = {
      key: bytes(start),
      range_end: bytes(end),
      limit,
      ...(revision !== undefined && { revision: String(revision) }),
    };
    const answer = await this.#call((etcd, options) => etcd.kv.range(request, options), timeoutMs);
    return {
      entries: answer.kvs.map(entryOf),
      more: answer.more,
      revision: BigInt(answer.header.revision),
    };
  }

  /** One key, by agreement of the members. */
  async get(key: string): Promise<{ entry: EtcdEntry | undefined; revision: Revision }> {
    const { entries, revision } = await this.range({ start: key, end: `${key}\0`, limit: 1 }, this.#callMs);
    return { entry: entries[0], revision };
  }

  /** History before this revision is given up, for all who use this etcd. */
  async compact(revision: Revision): Promise<void> {
    const request = { revision: String(revision) };
    await this.#call((etcd, options) => etcd.kv.compact(request, options), RANGE_MS);
  }

  /** @returns what etcd made of it: it has a least TTL of its own, 1.5 election timeouts */
  async grantLease(ttlMs: number): Promise<{ id: LeaseId; ttlMs: number }> {
    const request = { TTL: Math.ceil(ttlMs / 1000), ID: 0 };
    const answer = await this.#call((etcd, options) => etcd.leaseClient.leaseGrant(request, options));
    return { id: answer.ID, ttlMs: Number(answer.TTL) * 1000 };
  }

  /** Deletes the lease and its keys; one that is gone already is no error. */
  async revokeLease(id: LeaseId): Promise<void> {
    try {
      await this.#call((etcd, options) => etcd.leaseClient.leaseRevoke({ ID: id }, options));
    } catch (thrown) {
      if ((thrown as GfsError).code !== 'ENOENT') throw thrown;
    }
  }

  /**
   * Renews a lease, once. Each renewal has a stream of its own, so that a late answer to an earlier one is
   * not taken for its answer.
   * @returns its new TTL, 0 when the lease is gone
   */
  async keepLeaseAlive(id: LeaseId, timeoutMs = this.#callMs): Promise<number> {
    return await this.#failover(async ({ streams }) => {
      const stream = await streams.leaseClient.leaseKeepAlive(deadline(timeoutMs));
      try {
        const answer = await new Promise<{ TTL: string }>((resolve, reject) => {
          stream.on('data', resolve);
          stream.on('error', (error) => reject(translate(error)));
          stream.on('end', () => reject(new GfsError('UNAVAILABLE', 'etcd ended the stream')));
          stream.write({ ID: id });
        });
        return Math.max(0, Number(answer.TTL) * 1000);
      } finally {
        stream.cancel();
      }
    });
  }

  /**
   * A watch on the current member, which ends with that member. To be resumed only from what was delivered.
   * A member that has lost its cluster ends it by itself.
   */
  watch(request: EtcdWatchRequest, handler: EtcdWatchHandler): EtcdWatchStream {
    const at = this.#current;
    const member = this.#members[at] as Member;
    let stream: Awaited<ReturnType<Etcd3['watchClient']['watch']>> | undefined;
    let ended = false;
    const close = (error: Error): void => {
      if (ended) return;
      ended = true;
      stream?.cancel();
      this.#leave(at);
      handler.closed(error);
    };
    const options = { interceptors: [requiringLeader] } as unknown as CallOptions;
    const opened = member.streams.watchClient.watch(options);
    opened.then(
      (found) => {
        stream = found;
        // Also after the end: grpc reports the cancellation as an error.
        found.on('error', (error) => close(translate(error)));
        found.on('end', () => close(new GfsError('UNAVAILABLE', 'etcd ended the watch')));
        found.on('data', (response) => {
          if (ended) return;
          try {
            const message = watchMessageOf(response);
            if (message instanceof GfsError) close(message);
            else handler.message(message);
          } catch (thrown) {
            close(thrown as Error);
          }
        });
        if (ended) found.cancel();
        else found.write({ create_request: watchRequestOf(request) });
      },
      (thrown: unknown) => close(translate(thrown)),
    );
    return {
      ping: () => {
        if (!ended) stream?.write({ progress_request: {} });
      },
      cancel: () => {
        ended = true;
        stream?.cancel();
      },
      leave: () => {
        ended = true;
        stream?.cancel();
        this.#leave(at);
      },
    };
  }

  /** Asks every member by itself. @returns its version, or why it does not answer */
  memberStates(): Promise<{ endpoint: string; version?: string; error?: string }[]> {
    const states = this.#members.map(async ({ endpoint, calls }) => {
      try {
        const { version } = await calls.maintenance.status(deadline(this.#callMs));
        return { endpoint, version };
      } catch (thrown) {
        return { endpoint, error: translate(thrown).message };
      }
    });
    return Promise.all(states);
  }

  close(): void {
    for (const { calls, streams } of this.#members) {
      calls.close();
      streams.close();
    }
  }

  #call<T>(run: (etcd: Etcd3, options: CallOptions) => Promise<T>, timeoutMs = this.#callMs): Promise<T> {
    return this.#failover(({ calls }) => run(calls, deadline(timeoutMs)));
  }

  async #failover<T>(run: (member: Member) => Promise<T>): Promise<T> {
    const at = this.#current;
    try {
      return await run(this.#members[at] as Member);
    } catch (thrown) {
      const error = translate(thrown);
      if (error.retryable) this.#leave(at);
      throw error;
    }
  }

  /** Several calls that fail at once leave the member once. */
  #leave(at: number): void {
    if (this.#current === at) this.#current = (at + 1) % this.#members.length;
  }
}

/** grpc takes a deadline as wall time, and makes an interval of it at once. */
function deadline(timeoutMs: number): CallOptions {
  return { deadline: Date.now() + timeoutMs };
}

interface StartableCall {
  start(metadata: { set(key: string, value: string): void }, listener?: unknown): void;
}

/**
 * Without this a member that is cut off from the others keeps a watch open, and silent
 * (WithRequireLeader of etcd's own client, clientv3/ctx.go). etcd3 gives no other access to the metadata.
 */
function requiringLeader(options: unknown, next: (options: unknown) => StartableCall): StartableCall {
  const call = next(options);
  const start = call.start.bind(call);
  call.start = (metadata, listener) => {
    metadata.set('hasleader', 'true');
    start(metadata, listener);
  };
  return call;
}

function compareOf(compare: EtcdCompare): ICompare {
  const key = bytes(compare.key);
  if ('createRevision' in compare) {
    const { Create: target } = CompareTarget;
    return { key, target, result: CompareResult.Equal, create_revision: String(compare.createRevision) };
  }
  if ('modifiedBefore' in compare) {
    const { Mod: target } = CompareTarget;
    return { key, target, result: CompareResult.Less, mod_revision: String(compare.modifiedBefore) };
  }
  const { Value: target } = CompareTarget;
  return { key, target, result: CompareResult.Equal, value: compare.value as Buffer };
}

function writeOf(write: EtcdWrite): IRequestOp {
  if ('put' in write) {
    const { put, value, lease } = write;
    return {
      request_put: { key: bytes(put), value: value as Buffer, ...(lease !== undefined && { lease }) },
    };
  }
  const { delete: start, end } = write;
  return {
    request_delete_range: { key: bytes(start), ...(end !== undefined && { range_end: bytes(end) }) },
  };
}

/** Errors that say what the matter is. All others say that it is unknown what became of the call. */
const CODES: readonly (readonly [abstract new (...args: never[]) => Error, GfsErrorCode])[] = [
  [GRPCDeadlineExceededError, 'TIMEOUT'],
  [GRPCOutOfRangeError, 'ESTALE'], // "required revision has been compacted"
  [EtcdLeaseInvalidError, 'ENOENT'],
  [GRPCNotFoundError, 'ENOENT'],
  [EtcdPermissionDeniedError, 'EACCES'],
  [EtcdAuthenticationFailedError, 'EACCES'],
  [EtcdInvalidAuthTokenError, 'EACCES'],
  [GRPCUnauthenticatedError, 'EACCES'],
  [GRPCNotImplementedError, 'CONFIG'],
  [ClientClosedError, 'CANCELLED'],
];

function translate(thrown: unknown): GfsError {
  if (thrown instanceof GfsError) return thrown;
  const { message } = thrown as Error;
  const code = codeOf(thrown as Error, message);
  const retryable = code === 'UNAVAILABLE' || code === 'TIMEOUT';
  return new GfsError(code, `etcd: ${message}`, { cause: thrown, retryable });
}

function codeOf(error: Error, message: string): GfsErrorCode {
  // A stream reports grpc's own error, not etcd3's.
  const { code } = error as { code?: number };
  const known = CODES.find(([type]) => error instanceof type);
  if (known !== undefined) return known[1];
  if (message.includes('database space exceeded')) return 'ENOSPC';
  if (message.includes('too many operations') || message.includes('request is too large')) return 'E2BIG';
  if (error instanceof GRPCInvalidArgumentError) return 'INTERNAL';
  if (error instanceof GRPCResourceExhastedError) return 'UNAVAILABLE'; // "too many requests"
  return code === GRPC_DEADLINE_EXCEEDED ? 'TIMEOUT' : 'UNAVAILABLE';
}
const GRPC_DEADLINE_EXCEEDED = 4;
