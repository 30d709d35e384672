import { GfsError, type GfsErrorCode } from '../../core/index.js';
import type { HttpResponse } from './response-parser.js';

/** What a server says when it refuses: the HTTP status, and `<Code>` and `<Message>` of its body. */
export interface S3Failure {
  readonly status: number;
  /** '' where the answer has no body (HEAD), or one that is no S3 error. */
  readonly code: string;
  readonly message: string;
  /** Header `x-amz-bucket-region`, which comes with redirects. */
  readonly bucketRegion?: string | undefined;
  /** How far this machine's clock is ahead of the server's; ms. Given where the server minds. */
  readonly clockAheadMs?: number | undefined;
}

/** Where a request went, for whoever reads its error. */
export interface S3Place {
  readonly site: string;
  readonly endpoint: string;
  readonly bucket: string;
}

interface Meaning {
  readonly code: GfsErrorCode;
  readonly retryable?: boolean;
  /** What to check; '' where there is nothing to be done. */
  readonly check: string;
}

const KEYS = 'check accessKeyId and secretAccessKey of the site';
const QUOTA = 'free space in the bucket or raise its quota';
const CLOCK = "set this machine's clock (NTP)";

/**
 * Codes of https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and of Ceph and MinIO
 * where they have their own; what is not here is judged by its HTTP status.
 */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  NoSuchKey: { code: 'ENOENT', check: '' },
  NoSuchBucket: { code: 'CONFIG', check: 'create the bucket, or correct its name in the site' },
  InvalidBucketName: { code: 'CONFIG', check: "correct the bucket's name in the site" },
  InvalidAccessKeyId: { code: 'EACCES', check: KEYS },
  SignatureDoesNotMatch: { code: 'EACCES', check: `${KEYS}, and its region` },
  AccessDenied: { code: 'EACCES', check: 'check what the key may do in the bucket (its policy)' },
  AccountProblem: { code: 'EACCES', check: 'ask whoever runs the store' },
  UserSuspended: { code: 'EACCES', check: 'ask whoever runs the store' },
  ExpiredToken: { code: 'EACCES', retryable: true, check: 'renew the temporary credentials' },
  InvalidToken: { code: 'EACCES', check: 'renew the temporary credentials' },
  RequestTimeTooSkewed: { code: 'EACCES', check: CLOCK },
  RequestExpired: { code: 'EACCES', check: CLOCK },
  AuthorizationHeaderMalformed: { code: 'CONFIG', check: "correct the site's region" },
  PermanentRedirect: { code: 'CONFIG', check: "correct the site's region or endpoint" },
  QuotaExceeded: { code: 'ENOSPC', check: QUOTA },
  InsufficientCapacity: { code: 'ENOSPC', check: QUOTA },
  XMinioStorageFull: { code: 'ENOSPC', check: QUOTA },
  XMinioAdminBucketQuotaExceeded: { code: 'ENOSPC', check: QUOTA },
  BucketAlreadyExists: { code: 'EEXIST', check: "choose another name: this one is somebody else's" },
  TooManyBuckets: { code: 'ENOSPC', check: "raise the user's limit of buckets" },
  EntityTooLarge: { code: 'EFBIG', check: '' },
  // The bytes changed on their way: sent again, they may arrive whole.
  BadDigest: { code: 'CORRUPT', retryable: true, check: '' },
  XAmzContentSHA256Mismatch: { code: 'CORRUPT', retryable: true, check: '' },
  IncompleteBody: { code: 'UNAVAILABLE', check: '' },
  RequestTimeout: { code: 'UNAVAILABLE', check: '' },
  OperationAborted: { code: 'UNAVAILABLE', check: '' },
  SlowDown: { code: 'UNAVAILABLE', check: '' },
  InternalError: { code: 'UNAVAILABLE', check: '' },
};

function meaningOf({ status, code }: S3Failure): Meaning {
  const known = MEANINGS[code];
  if (known !== undefined) return known;
  if (status === 404) return { code: 'ENOENT', check: '' };
  if (status === 401 || status === 403) return { code: 'EACCES', check: `${KEYS}, and what the key may do` };
  if (status === 301 || status === 307)
    return { code: 'CONFIG', check: "correct the site's region or endpoint" };
  if (status === 507) return { code: 'ENOSPC', check: QUOTA };
  if (status === 501) return { code: 'EOPNOTSUPP', check: '' };
  if (status === 408 || status === 429 || status >= 500) return { code: 'UNAVAILABLE', check: '' };
  return { code: 'EIO', check: '' };
}

/** @param what was asked for, such as `PUT blocks/ab/cd/abcd...` */
export function s3Error(failure: S3Failure, place: S3Place, what: string, cause?: unknown): GfsError {
  const { code, retryable, check } = meaningOf(failure);
  const said = [failure.code || `HTTP ${failure.status}`, failure.message].filter((part) => part !== '');
  const region =
    failure.bucketRegion === undefined ? '' : `; the bucket is in region ${failure.bucketRegion}`;
  const ahead = failure.clockAheadMs;
  const clock = ahead === undefined ? '' : `; ${clockText(ahead)}`;
  const toDo = check === '' ? '' : `; ${check}`;
  return new GfsError(
    code,
    `site ${place.site}, bucket ${place.bucket} at ${place.endpoint}: ${what}: ${said.join(': ')}${region}${clock}${toDo}`,
    {
      ...(retryable !== undefined && { retryable }),
      ...(cause !== undefined && { cause }),
      context: { site: place.site, bucket: place.bucket, status: failure.status, s3Code: failure.code },
    },
  );
}

function clockText(aheadMs: number): string {
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  return `this machine's clock is ${seconds} s ${aheadMs < 0 ? 'behind' : 'ahead of'} the server's`;
}

/** An error answer is a page at most; what is longer is not looked at. */
const ERROR_BODY_BYTES_MAX = 16 * 1024;

/** Reads `<Error><Code>…</Code><Message>…</Message>…</Error>`. @param wallMs this machine's time */
export function s3Failure({ status, headers, body }: HttpResponse, wallMs: number): S3Failure {
  const xml = body.subarray(0, ERROR_BODY_BYTES_MAX).toString('utf8');
  const code = element(xml, 'Code');
  return {
    status,
    code,
    message: element(xml, 'Message'),
    bucketRegion: headers['x-amz-bucket-region'],
    clockAheadMs: code === 'RequestTimeTooSkewed' ? wallMs - Date.parse(headers.date ?? '') : undefined,
  };
}

/** Without entities decoded: for people's eyes. */
function element(xml: string, name: string): string {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? '';
}
