import type { Dentry, RecordWrite } from '../../namespace/index.js';
import type { Notice, Result, SentEntry, SentInode, ServerMessage } from './messages.js';
import { many, maybe, one, orUndefined } from './field-types.js';
import { message, union } from './message-types.js';
import { lockRange, sessionRef, siteSpec } from './shared-table.js';
import {
  bool,
  byteString,
  bytes,
  double,
  ino,
  inodeRecord,
  name,
  text,
  uint32,
  uint53,
} from './value-types.js';
import { errorCode, recallMode } from './word-types.js';

const sentInode = message<SentInode>({
  record: one(1, inodeRecord),
  leased: one(2, bool),
  volatile: one(3, bool),
});

const dentry = message<Dentry>({ ino: one(1, ino), type: one(2, uint32) });

const sentEntry = message<SentEntry>({
  name: one(1, name),
  dentry: one(2, dentry),
  inode: maybe(3, sentInode),
});

const xattr = message<{ readonly name: string; readonly value: Uint8Array }>({
  name: one(1, byteString),
  value: one(2, bytes),
});

const recordWrite = union<RecordWrite, 'kind'>('kind', {
  inode: [1, { ino: one(1, ino), record: orUndefined(2, inodeRecord) }],
  dentry: [2, { parent: one(1, ino), name: one(2, name), ino: one(3, ino), type: one(4, uint32) }],
  'no-dentry': [3, { parent: one(1, ino), name: one(2, name) }],
  xattr: [4, { ino: one(1, ino), name: one(2, byteString), value: orUndefined(3, bytes) }],
  orphan: [5, { ino: one(1, ino), present: one(2, bool) }],
});

const notice = union<Notice, 'kind'>('kind', {
  entry: [1, { parent: one(1, ino), name: one(2, name) }],
  inode: [2, { ino: one(1, ino), orphaned: one(2, bool) }],
});

/** `message Result`. */
const result = union<Result, 'op'>('op', {
  lookup: [1, { inode: maybe(1, sentInode), entryLeased: one(2, bool) }],
  inode: [2, { inode: maybe(1, sentInode) }],
  'read-directory': [3, { entries: many(1, sentEntry), complete: one(2, bool), leased: one(3, bool) }],
  xattrs: [4, { xattrs: many(1, xattr), leased: one(2, bool) }],
  execute: [
    5,
    {
      inode: one(1, sentInode),
      orphaned: maybe(2, inodeRecord),
      writes: many(3, recordWrite),
      leased: many(4, bool),
    },
  ],
  acquire: [6, { inode: one(1, sentInode) }],
  'reserve-inos': [7, { first: one(1, ino), count: one(2, uint32) }],
  'path-of': [8, { path: maybe(1, byteString) }],
  statistics: [9, { inodes: one(1, uint53) }],
  flush: [10, {}],
  'lock-conflict': [11, { range: maybe(1, lockRange) }],
  'try-lock': [12, { acquired: one(1, bool) }],
  'wait-lock': [13, {}],
});

/** `message ServerMessage`. */
export const serverMessage = union<ServerMessage, 'kind'>('kind', {
  welcome: [
    1,
    {
      protocol: one(1, uint32),
      session: one(2, sessionRef),
      resumed: one(3, bool),
      ttlMs: one(4, double),
      clusterId: one(5, text),
      sites: many(6, siteSpec),
    },
  ],
  refused: [2, { code: one(1, errorCode), message: one(2, text), leader: maybe(3, text) }],
  reply: [3, { id: one(1, uint53), result: one(2, result) }],
  error: [4, { id: one(1, uint53), code: one(2, errorCode), message: one(3, text), retryable: one(4, bool) }],
  notice: [5, { id: one(1, uint53), notices: many(2, notice) }],
  recall: [6, { id: one(1, uint53), ino: one(2, ino), to: one(3, recallMode) }],
  query: [7, { id: one(1, uint53), ino: one(2, ino) }],
  heartbeat: [8, { beat: one(1, uint53) }],
  sites: [9, { sites: many(1, siteSpec) }],
});
