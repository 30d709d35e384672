import { createHash, webcrypto } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import { GfsError } from '../core/index.js';
import { throwIfAborted } from './abort.js';
import { checkObjectKey, missingObject } from './object-key.js';
import type { ObjectInfo, ObjectRead, ObjectStore } from './object-store.js';
import { type HttpRequest, HttpTransport } from './s3/http-transport.js';
import type { HttpResponse } from './s3/response-parser.js';
import { s3Error, s3Failure, type S3Place } from './s3/s3-errors.js';
import type { SdkClient } from './s3/sdk-client.js';
import { EMPTY_PAYLOAD_HASH, RequestSigner, type S3Credentials, UNSIGNED_PAYLOAD } from './s3/signature.js';
import type { S3StoreSpec } from './site-spec.js';

export interface S3StoreOptions {
  readonly spec: S3StoreSpec;
  /** The site's name, for errors. */
  readonly site: string;
  /** Absent: what the AWS SDK finds by itself. */
  readonly credentials?: S3Credentials;
  readonly wallMs?: () => number;
  /** Connections that are kept when idle. Requests at once are the caller's to bound (`LimitedStore`). */
  readonly connectionsMax?: number;
  readonly idleTimeoutMs?: number;
  /** Larger bodies go up in parts. */
  readonly multipartBytes?: number;
}

/** 64 small requests at 30 ms round trip are 2,000 per second: about what one CPU handles. */
export const CONNECTIONS_MAX = 64;

/** S3 answers within a second nearly always; a server that is busy to the limit takes some. */
export const IDLE_TIMEOUT_MS = 15_000;

/** A single put takes 5 GiB; from here on a lost connection should not cost the whole. Blocks have 4 MiB. */
const MULTIPART_BYTES = 64 * 1024 * 1024;

/** Up to here the hash is made at once: a hand-over to the thread pool costs 40 µs, this 60 µs. */
const HASH_INLINE_BYTES_MAX = 16 * 1024;

/** Buckets are there unless they say where else. */
const AWS_FIRST_REGION = 'us-east-1';

interface Outgoing {
  readonly method: HttpRequest['method'];
  readonly body?: Uint8Array;
  readonly payloadHash?: string;
  readonly range?: { readonly offset: number; readonly length: number } | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Objects in a bucket. Requests for single objects are signed and sent here, over kept-alive connections;
 * listings and multipart uploads go through the AWS SDK, which is loaded when one is asked for.
 */
export class S3Store implements ObjectStore {
  readonly #spec: S3StoreSpec;
  readonly #options: S3StoreOptions;
  readonly #place: S3Place;
  readonly #transport: HttpTransport;
  readonly #signer: RequestSigner;
  readonly #credentials: () => S3Credentials | Promise<S3Credentials>;
  readonly #host: string;
  /** `/bucket/` or `/`, and the prefix. */
  readonly #root: string;
  readonly #signPayload: boolean;
  readonly #multipartBytes: number;
  readonly #endpoint: URL;
  readonly #wallMs: () => number;
  readonly #authorities: readonly string[] | undefined;
  #sdk: Promise<SdkClient> | undefined;

  private constructor(
    options: S3StoreOptions,
    bucketUrl: URL,
    credentials: () => S3Credentials | Promise<S3Credentials>,
    authorities: readonly string[] | undefined,
  ) {
    const { spec } = options;
    this.#spec = spec;
    this.#options = options;
    this.#endpoint = bucketUrl;
    this.#place = { site: options.site, endpoint: bucketUrl.origin, bucket: spec.bucket };
    this.#wallMs = options.wallMs ?? Date.now;
    this.#transport = new HttpTransport({
      endpoint: bucketUrl,
      idleMax: options.connectionsMax ?? CONNECTIONS_MAX,
      idleTimeoutMs: options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
      ...(authorities && { authorities }),
    });
    this.#signer = new RequestSigner(spec.region, this.#wallMs);
    this.#credentials = credentials;
    this.#authorities = authorities;
    this.#host = bucketUrl.host;
    this.#root = `${bucketUrl.pathname.replace(/\/$/, '')}/${spec.prefix}`;
    this.#signPayload = spec.signPayload ?? !isPrivate(bucketUrl);
    this.#multipartBytes = options.multipartBytes ?? MULTIPART_BYTES;
  }

  /** Asks nothing of the server yet. @throws GfsError CONFIG for an unreadable caFile */
  static async open(options: S3StoreOptions): Promise<S3Store> {
    const { spec, credentials } = options;
    const given = credentials && (() => credentials);
    const bucketUrl = spec.endpoint === undefined ? await awsUrl(spec) : bucketUrlOf(spec, spec.endpoint);
    const authorities = spec.caFile === undefined ? undefined : await authoritiesOf(spec.caFile);
    return new S3Store(options, bucketUrl, given ?? (await sdkCredentials(spec)), authorities);
  }

  async put(key: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    checkObjectKey(key);
    if (body.length > this.#multipartBytes) {
      throwIfAborted(signal);
      const sdk = await this.#sdkClient();
      await sdk.putLarge(this.#spec.prefix + key, body, signal);
      return;
    }
    const payloadHash = this.#signPayload ? await sha256(body) : UNSIGNED_PAYLOAD;
    const response = await this.#send({ method: 'PUT', key, body, payloadHash, signal });
    if (response.status !== 200) throw this.#failure(response, 'PUT', key);
  }

  async get(
    key: string,
    range?: { offset: number; length: number },
    signal?: AbortSignal,
  ): Promise<ObjectRead> {
    checkObjectKey(key);
    if (range?.length === 0) return this.#emptyRead(key, signal);
    const response = await this.#send({ method: 'GET', key, range, signal });
    switch (response.status) {
      case 200: {
        const { body } = response;
        const end = range && range.offset + range.length;
        return { bytes: range ? body.subarray(range.offset, end) : body, totalBytes: body.length };
      }
      case 206:
        return partOf(response, range, key);
      case 416: // begins behind the object's end
        return this.#emptyRead(key, signal);
      default:
        throw this.#failure(response, 'GET', key);
    }
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    checkObjectKey(key);
    const response = await this.#send({ method: 'HEAD', key, signal });
    // Without a body a missing bucket looks the same; every other request tells.
    if (response.status === 404) return undefined;
    if (response.status !== 200) throw this.#failure(response, 'HEAD', key);
    return {
      key,
      bytes: Number(response.headers['content-length'] ?? 0),
      modifiedMs: Date.parse(response.headers['last-modified'] ?? ''),
    };
  }

  async delete(key: string, signal?: AbortSignal): Promise<void> {
    checkObjectKey(key);
    const response = await this.#send({ method: 'DELETE', key, signal });
    if (response.status === 200 || response.status === 204) return;
    const error = this.#failure(response, 'DELETE', key);
    if (error.code !== 'ENOENT') throw error;
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    throwIfAborted(signal);
    const sdk = await this.#sdkClient();
    const cut = this.#spec.prefix.length;
    for await (const page of sdk.list(this.#spec.prefix + prefix, signal)) {
      for (const info of page) yield cut === 0 ? info : { ...info, key: info.key.slice(cut) };
    }
  }

  async sync(): Promise<void> {
    // S3 answers a put when the object is durable.
  }

  /** Makes the bucket; one that is this user's already is fine. @throws GfsError EACCES, EEXIST, ... */
  async createBucket(signal?: AbortSignal): Promise<void> {
    const path = this.#root.slice(0, this.#root.length - this.#spec.prefix.length);
    // Only AWS, and only outside its first region, wants to be told where.
    const elsewhere = this.#spec.endpoint === undefined && this.#spec.region !== AWS_FIRST_REGION;
    const body = Buffer.from(
      elsewhere
        ? `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>${this.#spec.region}</LocationConstraint></CreateBucketConfiguration>`
        : '',
    );
    const payloadHash = await sha256(body);
    const response = await this.#sendTo(path, { method: 'PUT', body, payloadHash, signal });
    if (response.status === 200) return;
    const failure = s3Failure(response, this.#wallMs());
    if (failure.code === 'BucketAlreadyOwnedByYou') return;
    throw s3Error(failure, this.#place, 'create the bucket');
  }

  close(): void {
    this.#transport.close();
    // A client that could not be made has told so to whoever wanted it.
    void this.#sdk?.then((sdk) => sdk.close()).catch(() => undefined);
  }

  async #emptyRead(key: string, signal: AbortSignal | undefined): Promise<ObjectRead> {
    const info = await this.head(key, signal);
    if (info === undefined) throw missingObject(key);
    return { bytes: Buffer.alloc(0), totalBytes: info.bytes };
  }

  #send(request: Outgoing & { key: string }): Promise<HttpResponse> {
    return this.#sendTo(this.#root + request.key, request);
  }

  async #sendTo(path: string, request: Outgoing): Promise<HttpResponse> {
    const { method, body, range, signal } = request;
    throwIfAborted(signal);
    const source = this.#credentials();
    const credentials = source instanceof Promise ? await source : source;
    const signed = this.#signer.sign(
      {
        method,
        path,
        query: '',
        headers: range
          ? { host: this.#host, range: `bytes=${range.offset}-${range.offset + range.length - 1}` }
          : { host: this.#host },
        payloadHash: request.payloadHash ?? EMPTY_PAYLOAD_HASH,
      },
      credentials,
    );
    return this.#transport.send({ method, path, headers: signed, ...(body && { body }), signal });
  }

  #failure(response: HttpResponse, method: string, key: string): GfsError {
    const failure = s3Failure(response, this.#wallMs());
    return s3Error(failure, this.#place, `${method} ${this.#spec.prefix}${key}`);
  }

  #sdkClient(): Promise<SdkClient> {
    this.#sdk ??= import('./s3/sdk-client.js').then(
      ({ SdkClient: Client }) =>
        new Client({
          spec: this.#spec,
          place: this.#place,
          endpoint: this.#endpoint,
          credentials: async () => this.#credentials(),
          ...(this.#authorities && { authorities: this.#authorities }),
          idleTimeoutMs: this.#options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
          clockOffsetMs: this.#wallMs() - Date.now(),
        }),
    );
    return this.#sdk;
  }
}

function bucketUrlOf(spec: S3StoreSpec, endpoint: string): URL {
  const url = new URL(endpoint);
  if (spec.pathStyle) return new URL(`/${spec.bucket}/`, url);
  url.hostname = `${spec.bucket}.${url.hostname}`;
  return url;
}

async function awsUrl(spec: S3StoreSpec): Promise<URL> {
  return (await import('./s3/sdk-client.js')).awsBucketUrl(spec);
}

async function sdkCredentials(spec: S3StoreSpec): Promise<() => Promise<S3Credentials>> {
  return (await import('./s3/sdk-client.js')).defaultCredentials(spec.region);
}

async function authoritiesOf(caFile: string): Promise<string[]> {
  try {
    return [...rootCertificates, await readFile(caFile, 'utf8')];
  } catch (thrown) {
    const why = (thrown as Error).message;
    throw new GfsError('CONFIG', `cannot read the site's caFile: ${why}; it must be on every node`, {
      cause: thrown,
    });
  }
}

/** Whether nobody between here and the server can change what is sent. */
function isPrivate(url: URL): boolean {
  return url.protocol === 'https:' || /^(?:127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/.test(url.hostname);
}

async function sha256(body: Uint8Array): Promise<string> {
  if (body.length <= HASH_INLINE_BYTES_MAX) return createHash('sha256').update(body).digest('hex');
  return Buffer.from(await webcrypto.subtle.digest('SHA-256', body as Uint8Array<ArrayBuffer>)).toString(
    'hex',
  );
}

/** @throws GfsError CORRUPT when the answer is not the part that was asked for */
function partOf(
  response: HttpResponse,
  range: { offset: number; length: number } | undefined,
  key: string,
): ObjectRead {
  const header = response.headers['content-range'] ?? '';
  const [, from, to, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(header) ?? [];
  const bytes = response.body;
  const isRight =
    range !== undefined &&
    Number(from) === range.offset &&
    bytes.length === Number(to) - range.offset + 1 &&
    bytes.length === Math.min(range.length, Number(total) - range.offset);
  if (!isRight) {
    throw new GfsError('CORRUPT', 'the store answered with another part than was asked for', {
      context: { key, contentRange: header, bytes: bytes.length, ...range },
    });
  }
  return { bytes, totalBytes: Number(total) };
}
