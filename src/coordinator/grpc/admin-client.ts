import { GfsError } from '../../core/index.js';
import type { AdminApi } from '../admin-api.js';
import { ADMIN_METHODS } from './admin-calls.js';
import { decodeAdminReply, encodeAdminRequest } from './admin-messages.js';
import { GrpcChannel } from './grpc-adapter.js';
import type { TlsMaterial } from './tls-material.js';

/** The slowest call looks at all leases in memory, or asks each etcd member: a second or two. */
const CALL_MS = 10_000;

export interface AdminClientOptions {
  readonly address: string;
  readonly tls?: TlsMaterial;
  /** For one call. */
  readonly withinMs?: number;
}

/** Administration through one coordinator. It is connected to at the first call. */
export class AdminClient {
  /**
   * Errors are the coordinator's. One that does not lead answers UNAVAILABLE, with `context.leader` when it
   * knows the leader's address; UNAVAILABLE, TIMEOUT and EACCES are also what the connection may say.
   */
  readonly api: AdminApi;
  readonly #channel: GrpcChannel;
  readonly #withinMs: number;

  constructor({ address, tls, withinMs = CALL_MS }: AdminClientOptions) {
    this.#channel = new GrpcChannel(address, tls);
    this.#withinMs = withinMs;
    const calls = ADMIN_METHODS.map((method) => [method, (...args: unknown[]) => this.#call(method, args)]);
    const api: unknown = Object.fromEntries(calls);
    this.api = api as AdminApi;
  }

  close(): void {
    this.#channel.close();
  }

  async #call(method: string, args: readonly unknown[]): Promise<unknown> {
    const request = encodeAdminRequest({ method, json: JSON.stringify(args) });
    const reply = decodeAdminReply(await this.#channel.call(request, this.#withinMs));
    if (reply.kind === 'answer') return (JSON.parse(reply.json) as unknown) ?? undefined;
    const { code, message, retryable, leader } = reply;
    throw new GfsError(code, message, { retryable, context: leader === undefined ? {} : { leader } });
  }
}
