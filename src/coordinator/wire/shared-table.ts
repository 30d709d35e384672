import type { LockRange, LockRequest } from '../../leases/index.js';
import type { SiteSpec } from '../../sites/index.js';
import type { SessionRef } from './messages.js';
import { maybe, one } from './field-types.js';
import { message, union } from './message-types.js';
import { bool, text, uint32, uint53 } from './value-types.js';
import { heldLockType, lockType, siteRole, siteStatus } from './word-types.js';

/** What both directions speak of. */

export const sessionRef = message<SessionRef>({ id: one(1, text), epoch: one(2, uint53) });

const lockSpan = { owner: one(1, text), pid: one(2, uint32), start: one(4, uint53), end: one(5, uint53) };
export const lockRange = message<LockRange>({ ...lockSpan, type: one(3, heldLockType) });
export const lockRequest = message<LockRequest>({ ...lockSpan, type: one(3, lockType) });

type StoreSpec = SiteSpec['store'];
type Credentials = NonNullable<Extract<StoreSpec, { kind: 's3' }>['credentials']>;

const secretRef = union<Credentials['accessKeyId'], 'from'>('from', {
  env: [1, { name: one(1, text) }],
  file: [2, { path: one(1, text) }],
  command: [3, { command: one(1, text) }],
});

const credentials = message<Credentials>({
  accessKeyId: one(1, secretRef),
  secretAccessKey: one(2, secretRef),
});

const store = union<StoreSpec, 'kind'>('kind', {
  s3: [
    1,
    {
      endpoint: maybe(1, text),
      bucket: one(2, text),
      prefix: one(3, text),
      region: one(4, text),
      pathStyle: one(5, bool),
      credentials: maybe(6, credentials),
      caFile: maybe(7, text),
      signPayload: maybe(8, bool),
    },
  ],
  directory: [2, { path: one(1, text) }],
});

export const siteSpec = message<SiteSpec>({
  name: one(1, text),
  role: one(2, siteRole),
  status: one(3, siteStatus),
  store: one(4, store),
});
