import type { LiveAttributes } from '../client.js';
import { command } from './command-table.js';
import type { Claim, ClaimedLock, ClientMessage, NodeHealth, Request } from './messages.js';
import { many, maybe, one } from './field-types.js';
import { message, table, union } from './message-types.js';
import { lockRange, lockRequest, sessionRef } from './shared-table.js';
import { bool, byteString, double, ino, name, text, time, uint32, uint53 } from './value-types.js';
import { claimMode, leaseMode, lockFamily } from './word-types.js';

const claim = message<Claim>({ ino: one(1, ino), mode: one(2, claimMode), committing: maybe(3, uint53) });

const claimedLock = message<ClaimedLock>({
  ino: one(1, ino),
  family: one(2, lockFamily),
  range: one(3, lockRange),
});

const liveAttributes = message<LiveAttributes>({
  size: one(1, uint53),
  allocatedBytes: one(2, uint53),
  atimeNs: one(3, time),
  mtimeNs: one(4, time),
  ctimeNs: one(5, time),
});

const nodeHealth = message<NodeHealth>({
  cpuLoad: one(1, double),
  freeBytes: one(2, double),
  storeReachable: one(3, bool),
  storeLatencyMs: one(4, double),
  cachedBytes: one(5, double),
  stagedBytes: one(6, double),
  conflicts: one(7, uint53),
  requests: table(8, text, uint53),
});

const lockOperation = { ino: one(1, ino), family: one(2, lockFamily), request: one(3, lockRequest) };

/** `message Operation`. */
const operation = union<Request, 'op'>('op', {
  lookup: [1, { parent: one(1, ino), name: one(2, name) }],
  inode: [2, { ino: one(1, ino) }],
  'read-directory': [
    3,
    { ino: one(1, ino), after: one(2, byteString), limit: one(3, uint32), plus: one(4, bool) },
  ],
  xattrs: [4, { ino: one(1, ino) }],
  execute: [
    5,
    {
      number: one(1, uint53),
      answeredBelow: one(2, uint53),
      keepWrite: one(3, bool),
      command: one(4, command),
    },
  ],
  acquire: [6, { ino: one(1, ino), mode: one(2, leaseMode) }],
  'reserve-inos': [7, { count: one(1, uint32) }],
  'path-of': [8, { ino: one(1, ino) }],
  statistics: [9, {}],
  flush: [10, {}],
  'lock-conflict': [11, lockOperation],
  'try-lock': [12, lockOperation],
  'wait-lock': [13, lockOperation],
});

/** `message ClientMessage`. */
export const clientMessage = union<ClientMessage, 'kind'>('kind', {
  hello: [
    1,
    {
      protocolMin: one(1, uint32),
      protocolMax: one(2, uint32),
      software: one(3, text),
      session: maybe(4, sessionRef),
      site: one(5, text),
      member: one(6, text),
      mountpoint: one(7, text),
      pid: one(8, uint32),
      claims: many(9, claim),
      locks: many(10, claimedLock),
      answeredBelow: one(11, uint53),
      connection: one(12, uint53),
    },
  ],
  request: [2, { id: one(1, uint53), request: one(2, operation) }],
  cancel: [3, { id: one(1, uint53) }],
  ack: [4, { id: one(1, uint53), live: maybe(2, liveAttributes) }],
  release: [5, { inos: many(1, ino) }],
  heartbeat: [6, { beat: one(1, uint53), health: maybe(2, nodeHealth) }],
  goodbye: [7, {}],
});
