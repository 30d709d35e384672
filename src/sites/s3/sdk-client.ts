import { ListObjectsV2Command, S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { GfsError } from '../../core/index.js';
import { cancelled, whenAborted } from '../abort.js';
import type { ObjectInfo } from '../object-store.js';
import type { S3StoreSpec } from '../site-spec.js';
import { connectionError } from './http-transport.js';
import { s3Error, type S3Place } from './s3-errors.js';
import type { S3Credentials } from './signature.js';

export interface SdkClientOptions {
  readonly spec: S3StoreSpec;
  readonly place: S3Place;
  readonly endpoint: URL;
  readonly credentials: () => Promise<S3Credentials>;
  /** PEM of the authorities to trust; absent: Node's own. */
  readonly authorities?: readonly string[];
  readonly idleTimeoutMs: number;
  /** How far this machine's clock is wrong, as the caller has it; ms. */
  readonly clockOffsetMs: number;
}

/**
 * A part or a page that failed is sent again by the SDK itself: who retries around the store would begin
 * the whole upload or listing anew.
 */
const PART_ATTEMPTS = 3;

/** 16 MiB parts: S3 allows 10,000 of them, so objects up to 156 GiB; four at once fill a long fat line. */
const PART_BYTES = 16 * 1024 * 1024;
const PARTS_IN_FLIGHT = 4;

/** Two uploads at once, or some listings beside one. */
const CONNECTIONS_MAX = 8;

/** The SDK, for what is rare or intricate: listings (XML), and multipart uploads. */
export class SdkClient {
  readonly #client: S3Client;
  readonly #options: SdkClientOptions;

  constructor(options: SdkClientOptions) {
    const { spec, authorities } = options;
    const pool = { keepAlive: true, maxSockets: CONNECTIONS_MAX };
    quietAboutNode();
    this.#options = options;
    this.#client = new S3Client({
      region: spec.region,
      forcePathStyle: spec.pathStyle,
      ...(spec.endpoint !== undefined && { endpoint: spec.endpoint }),
      credentials: options.credentials,
      maxAttempts: PART_ATTEMPTS,
      systemClockOffset: options.clockOffsetMs,
      // Ceph 16 answers 411 to checksums in trailers; content is checked by its own hash.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        httpAgent: new HttpAgent(pool),
        httpsAgent: new HttpsAgent({ ...pool, ...(authorities && { ca: [...authorities] }) }),
        connectionTimeout: options.idleTimeoutMs,
        requestTimeout: options.idleTimeoutMs,
        throwOnRequestTimeout: true, // the default waits for ever on a hung server
        socketTimeout: options.idleTimeoutMs,
      },
    });
  }

  async putLarge(key: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    const upload = new Upload({
      client: this.#client,
      params: { Bucket: this.#options.spec.bucket, Key: key, Body: body },
      partSize: PART_BYTES,
      queueSize: PARTS_IN_FLIGHT,
      leavePartsOnError: false,
    });
    // The SDK takes back the parts that went up, in the background.
    const forget = whenAborted(signal, () => void upload.abort());
    try {
      await upload.done();
    } catch (thrown) {
      throw this.#translated(thrown, `multipart PUT ${key}`, signal);
    } finally {
      forget();
    }
  }

  /** In key order, up to 1,000 per page; keys as the bucket has them. */
  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<readonly ObjectInfo[]> {
    let token: string | undefined;
    do {
      const command = new ListObjectsV2Command({
        Bucket: this.#options.spec.bucket,
        Prefix: prefix,
        ...(token !== undefined && { ContinuationToken: token }),
      });
      try {
        const page = await this.#client.send(command, signal === undefined ? {} : { abortSignal: signal });
        token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
        yield (page.Contents ?? []).map(({ Key = '', Size = 0, LastModified }) => ({
          key: Key,
          bytes: Size,
          modifiedMs: LastModified?.getTime() ?? 0,
        }));
      } catch (thrown) {
        throw this.#translated(thrown, `LIST ${prefix}`, signal);
      }
    } while (token !== undefined);
  }

  close(): void {
    this.#client.destroy();
  }

  #translated(thrown: unknown, what: string, signal: AbortSignal | undefined): GfsError {
    return sdkError(thrown, this.#options.place, this.#options.endpoint, what, signal);
  }
}

function sdkError(
  thrown: unknown,
  place: S3Place,
  endpoint: URL,
  what: string,
  signal?: AbortSignal,
): GfsError {
  if (thrown instanceof GfsError) return thrown;
  if (signal?.aborted === true) return cancelled(signal);
  if (thrown instanceof S3ServiceException) {
    const status = thrown.$metadata.httpStatusCode ?? 0;
    const { name, message } = thrown;
    return s3Error({ status, code: name === 'Unknown' ? '' : name, message }, place, what, thrown);
  }
  const { name, message } = thrown as Error;
  if (name === 'CredentialsProviderError') return noCredentials(thrown);
  if (name === 'TimeoutError') {
    return new GfsError('UNAVAILABLE', `${endpoint.host} did not answer in time (${message})`, {
      cause: thrown,
    });
  }
  return connectionError(thrown, endpoint);
}

function noCredentials(thrown: unknown): GfsError {
  const why = (thrown as Error).message;
  return new GfsError(
    'EACCES',
    `no AWS credentials are found (${why}); give the site 'credentials', or this machine a profile or role`,
    { cause: thrown },
  );
}

/** What AWS's own tools find: environment, profile, instance role; renewed before they expire. */
export function defaultCredentials(region: string): () => Promise<S3Credentials> {
  quietAboutNode();
  const { config } = new S3Client({ region });
  return async () => {
    try {
      return await config.credentials();
    } catch (thrown) {
      throw noCredentials(thrown);
    }
  };
}

/** AWS's endpoint for the bucket: its host, and its path for buckets that no host name can have. */
export async function awsBucketUrl(spec: Pick<S3StoreSpec, 'region' | 'bucket' | 'pathStyle'>): Promise<URL> {
  quietAboutNode();
  const { config } = new S3Client({ region: spec.region });
  const endpoint = config.endpointProvider({
    Region: spec.region,
    Bucket: spec.bucket,
    ForcePathStyle: spec.pathStyle,
    UseFIPS: await config.useFipsEndpoint(),
    UseDualStack: await config.useDualstackEndpoint(),
  });
  return endpoint.url;
}

/**
 * The SDK tells on stderr that its versions of 2027 want another Node; the version is pinned, and the
 * user of a filesystem has nothing to do about it.
 */
function quietAboutNode(): void {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
}
