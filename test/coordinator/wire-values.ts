import fc, { type Arbitrary } from 'fast-check';
import type { SentInode } from '../../src/coordinator/wire/index.js';
import {
  GFS_ERROR_CODES,
  type BlockHash,
  type GfsErrorCode,
  type Ino,
  type Name,
  type TimeNs,
} from '../../src/core/index.js';
import type { LockRange, LockRequest } from '../../src/leases/index.js';
import {
  EMPTY_MANIFEST,
  type InodeRecord,
  type ManifestRef,
  NO_SOURCES,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
} from '../../src/namespace/index.js';
import type { SiteSpec } from '../../src/sites/index.js';

/** What messages are made of, with the extremes of what it may be. */

export const uint53 = fc.oneof(fc.nat(300), fc.maxSafeNat());
export const uint32 = fc.oneof(fc.nat(300), fc.nat(0xffff_ffff));
export const ino = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
) as Arbitrary<Ino>;
export const time = fc.oneof(
  fc.constant(0n),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
) as unknown as Arbitrary<TimeNs>;
export const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }));
export const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));
export const byteString = fc.string({ unit: byte, maxLength: 300 });
export const name = fc
  .string({ unit: byte, minLength: 1, maxLength: 255 })
  .filter((raw) => !/[/\0]/.test(raw) && raw !== '.' && raw !== '..') as unknown as Arbitrary<Name>;
export const bytes = fc.uint8Array({ maxLength: 300 });
export const bool = fc.boolean();
export const hash = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((raw) => Buffer.from(raw).toString('hex')) as unknown as Arbitrary<BlockHash>;
export const errorCode = fc.constantFrom<GfsErrorCode>(...GFS_ERROR_CODES);
export const double = fc.double({ noNaN: true }).map((value) => value + 0 || 0); // -0 is not told from 0

/** Messages of the fields that are given; those of the `optional` ones may be missing. */
export function shape<T extends object>(
  fields: { [K in keyof T]-?: Arbitrary<Exclude<T[K], undefined>> },
  optional: readonly (keyof T & string)[] = [],
): Arbitrary<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  const requiredKeys = names.filter((key) => !optional.includes(key));
  return fc.record(fields, { requiredKeys, noNullPrototype: true }) as unknown as Arbitrary<T>;
}

export const is = <T extends string>(word: T): Arbitrary<T> => fc.constant(word);

// ---- Parts

export const manifest: Arbitrary<ManifestRef> = fc.oneof(
  shape<Extract<ManifestRef, { kind: 'inline' }>>({
    kind: is('inline'),
    blocks: fc.array(fc.record({ index: uint32, hash }, { noNullPrototype: true }), { maxLength: 5 }),
  }),
  shape<Extract<ManifestRef, { kind: 'object' }>>({ kind: is('object'), hash }),
);

export const source = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);

export const common = {
  ino,
  permissions: fc.nat(0o7777),
  uid: uint32,
  gid: uint32,
  nlink: uint32,
  size: uint53,
  allocatedBytes: uint53,
  rdev: uint32,
  atimeNs: time,
  mtimeNs: time,
  ctimeNs: time,
  btimeNs: time,
  flags: fc.nat(31),
};
/** What only some types have. */
export const special = {
  version: 0,
  manifest: EMPTY_MANIFEST,
  sources: NO_SOURCES,
  target: '',
  parent: 0,
  entries: 0,
};
export const record: Arbitrary<InodeRecord> = fc
  .oneof(
    fc.record({ type: fc.constant(S_IFDIR), ...common, own: fc.record({ parent: ino, entries: uint53 }) }),
    fc.record({
      type: fc.constant(S_IFREG),
      ...common,
      own: fc.record({ version: uint53, manifest, sources: fc.array(source, { maxLength: 3 }) }),
    }),
    fc.record({ type: fc.constant(S_IFLNK), ...common, own: fc.record({ target: byteString }) }),
    fc.record({ type: fc.constant(S_IFIFO), ...common, own: fc.constant({}) }),
  )
  .map(({ type, permissions, own, ...rest }) => ({ ...rest, ...special, ...own, mode: type | permissions }));

export const sentInode = shape<SentInode>({ record, leased: bool, volatile: bool });
export const span = { owner: text, pid: uint32, start: uint53, end: uint53 };
export const lockRange = shape<LockRange>({ ...span, type: fc.constantFrom('read', 'write') });
export const lockRequest = shape<LockRequest>({ ...span, type: fc.constantFrom('read', 'write', 'unlock') });
export const lockFamily = fc.constantFrom('posix' as const, 'flock' as const);

export const secret = fc.oneof(
  fc.record({ from: is('env'), name: text }, { noNullPrototype: true }),
  fc.record({ from: is('file'), path: text }, { noNullPrototype: true }),
  fc.record({ from: is('command'), command: text }, { noNullPrototype: true }),
);
type S3Spec = Extract<SiteSpec['store'], { kind: 's3' }>;
export const siteSpec = shape<SiteSpec>({
  name: text,
  role: fc.constantFrom('primary', 'burst', 'backup'),
  status: fc.constantFrom('active', 'draining', 'down'),
  store: fc.oneof(
    shape<S3Spec>(
      {
        kind: is('s3'),
        endpoint: text,
        bucket: text,
        prefix: text,
        region: text,
        pathStyle: bool,
        signPayload: bool,
        credentials: fc.record({ accessKeyId: secret, secretAccessKey: secret }, { noNullPrototype: true }),
        caFile: text,
      },
      ['endpoint', 'credentials', 'caFile', 'signPayload'],
    ),
    shape<Extract<SiteSpec['store'], { kind: 'directory' }>>({ kind: is('directory'), path: text }),
  ),
});
