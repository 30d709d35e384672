import { createHash, createHmac } from 'node:crypto';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of temporary credentials. */
  readonly sessionToken?: string | undefined;
}

/** What of a request its signature covers. */
export interface SignedParts {
  readonly method: string;
  /** As sent, percent-encoded. */
  readonly path: string;
  /** As sent without `?`: sorted, percent-encoded; '' for none. */
  readonly query: string;
  /** Lower-case names; all of them are signed. `host` must be among them. */
  readonly headers: Readonly<Record<string, string>>;
  /** SHA-256 of the body in hex, or UNSIGNED_PAYLOAD. */
  readonly payloadHash: string;
}

export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
/** SHA-256 of nothing. */
export const EMPTY_PAYLOAD_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const ALGORITHM = 'AWS4-HMAC-SHA256';

/**
 * AWS Signature Version 4 in request headers
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html). The SDK's own signer
 * costs ten times the CPU, which at a few thousand small objects per second is most of it.
 */
export class RequestSigner {
  readonly #region: string;
  readonly #wallMs: () => number;
  /** The signing key holds for a day and a secret: four HMACs saved per request. */
  #key: { readonly secret: string; readonly day: string; readonly bytes: Buffer } | undefined;
  #stamp: { readonly second: number; readonly text: string } = { second: -1, text: '' };

  constructor(region: string, wallMs: () => number) {
    this.#region = region;
    this.#wallMs = wallMs;
  }

  /** The headers to send: those given, the date, the payload's hash, and the signature over all of them. */
  sign(parts: SignedParts, credentials: S3Credentials): Record<string, string> {
    const stamp = this.#now();
    const day = stamp.slice(0, 8);
    const headers: Record<string, string> = {
      ...parts.headers,
      'x-amz-content-sha256': parts.payloadHash,
      'x-amz-date': stamp,
    };
    if (credentials.sessionToken !== undefined) headers['x-amz-security-token'] = credentials.sessionToken;
    const names = Object.keys(headers).sort();
    const signedNames = names.join(';');
    let canonical = `${parts.method}\n${parts.path}\n${parts.query}\n`;
    for (const name of names) canonical += `${name}:${headers[name]?.trim() ?? ''}\n`;
    canonical += `\n${signedNames}\n${parts.payloadHash}`;
    const scope = `${day}/${this.#region}/s3/aws4_request`;
    const hash = createHash('sha256').update(canonical).digest('hex');
    const signature = createHmac('sha256', this.#keyOf(credentials.secretAccessKey, day))
      .update(`${ALGORITHM}\n${stamp}\n${scope}\n${hash}`)
      .digest('hex');
    headers.authorization = `${ALGORITHM} Credential=${credentials.accessKeyId}/${scope},SignedHeaders=${signedNames},Signature=${signature}`;
    return headers;
  }

  /** `20130524T000000Z` */
  #now(): string {
    const ms = this.#wallMs();
    const second = Math.floor(ms / 1000);
    if (second !== this.#stamp.second) {
      const text = new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '');
      this.#stamp = { second, text };
    }
    return this.#stamp.text;
  }

  #keyOf(secret: string, day: string): Buffer {
    if (this.#key?.day === day && this.#key.secret === secret) return this.#key.bytes;
    let bytes: Buffer = Buffer.from(`AWS4${secret}`);
    for (const part of [day, this.#region, 's3', 'aws4_request']) {
      bytes = createHmac('sha256', bytes).update(part).digest();
    }
    this.#key = { secret, day, bytes };
    return bytes;
  }
}
