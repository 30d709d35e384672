import fc, { type Arbitrary } from 'fast-check';
import type { LiveAttributes } from '../../src/coordinator/client.js';
import type {
  Claim,
  ClaimedLock,
  ClientMessage,
  NodeHealth,
  Notice,
  Request,
  Result,
  SentEntry,
  ServerMessage,
} from '../../src/coordinator/wire/index.js';
import type { Command, RecordWrite } from '../../src/namespace/index.js';
import {
  bool,
  bytes,
  byteString,
  double,
  errorCode,
  ino,
  is,
  lockFamily,
  lockRange,
  lockRequest,
  manifest,
  name,
  record,
  sentInode,
  shape,
  siteSpec,
  source,
  text,
  time,
  uint32,
  uint53,
} from './wire-values.js';

/** Any message of either direction, of every kind. */

// ---- Commands

const caller = fc.record({ uid: uint32, gid: uint32 }, { noNullPrototype: true });
const created = { parent: ino, name, ino, caller, timeNs: time };
const node = { mode: uint32, umask: uint32 };
type CommandOf<K extends Command['kind']> = Extract<Command, { kind: K }>;

const commands: { [K in Command['kind']]: Arbitrary<CommandOf<K>> } = {
  create: shape<CommandOf<'create'>>({ kind: is('create'), ...created, ...node }),
  mkdir: shape<CommandOf<'mkdir'>>({ kind: is('mkdir'), ...created, ...node }),
  mknod: shape<CommandOf<'mknod'>>({ kind: is('mknod'), ...created, ...node, rdev: uint32 }),
  symlink: shape<CommandOf<'symlink'>>({ kind: is('symlink'), ...created, target: byteString }),
  tmpfile: shape<CommandOf<'tmpfile'>>({
    kind: is('tmpfile'),
    parent: ino,
    ino,
    caller,
    timeNs: time,
    ...node,
  }),
  link: shape<CommandOf<'link'>>({ kind: is('link'), ino, parent: ino, name, timeNs: time }),
  unlink: shape<CommandOf<'unlink'>>({ kind: is('unlink'), parent: ino, name, timeNs: time }),
  rmdir: shape<CommandOf<'rmdir'>>({ kind: is('rmdir'), parent: ino, name, timeNs: time }),
  rename: shape<CommandOf<'rename'>>({
    kind: is('rename'),
    parent: ino,
    name,
    newParent: ino,
    newName: name,
    mode: fc.constantFrom('replace', 'noreplace', 'exchange'),
    timeNs: time,
  }),
  setattr: shape<CommandOf<'setattr'>>(
    {
      kind: is('setattr'),
      ino,
      timeNs: time,
      mode: uint32,
      uid: uint32,
      gid: uint32,
      size: uint53,
      allocatedBytes: uint53,
      atimeNs: time,
      mtimeNs: time,
      ctimeNs: time,
      killPrivileges: fc.constantFrom('all', 'suid-sgid', 'capability'),
      killSetgid: bool,
    },
    [
      'mode',
      'uid',
      'gid',
      'size',
      'allocatedBytes',
      'atimeNs',
      'mtimeNs',
      'ctimeNs',
      'killPrivileges',
      'killSetgid',
    ],
  ),
  setxattr: shape<CommandOf<'setxattr'>>({
    kind: is('setxattr'),
    ino,
    name: byteString,
    value: bytes,
    mode: fc.constantFrom('either', 'create', 'replace'),
    killSgid: bool,
    timeNs: time,
  }),
  removexattr: shape<CommandOf<'removexattr'>>({
    kind: is('removexattr'),
    ino,
    name: byteString,
    timeNs: time,
  }),
  commit: shape<CommandOf<'commit'>>(
    {
      kind: is('commit'),
      ino,
      baseVersion: uint53,
      manifest,
      size: uint53,
      allocatedBytes: uint53,
      sources: fc.array(source, { minLength: 1, maxLength: 3 }),
      atimeNs: time,
      mtimeNs: time,
      ctimeNs: time,
    },
    ['sources', 'atimeNs', 'mtimeNs', 'ctimeNs'],
  ),
  reap: shape<CommandOf<'reap'>>({ kind: is('reap'), ino }),
};
const command = fc.oneof(...Object.values<Arbitrary<Command>>(commands));

// ---- Requests and results

type RequestOf<K extends Request['op']> = Extract<Request, { op: K }>;
const lockOperation = { ino, family: lockFamily, request: lockRequest };

export const requests: { [K in Request['op']]: Arbitrary<RequestOf<K>> } = {
  lookup: shape<RequestOf<'lookup'>>({ op: is('lookup'), parent: ino, name }),
  inode: shape<RequestOf<'inode'>>({ op: is('inode'), ino }),
  'read-directory': shape<RequestOf<'read-directory'>>({
    op: is('read-directory'),
    ino,
    after: fc.oneof(is(''), name),
    limit: uint32,
    plus: bool,
  }),
  xattrs: shape<RequestOf<'xattrs'>>({ op: is('xattrs'), ino }),
  execute: shape<RequestOf<'execute'>>({
    op: is('execute'),
    number: uint53,
    answeredBelow: uint53,
    keepWrite: bool,
    command,
  }),
  acquire: shape<RequestOf<'acquire'>>({
    op: is('acquire'),
    ino,
    mode: fc.constantFrom('known', 'read', 'write'),
  }),
  'reserve-inos': shape<RequestOf<'reserve-inos'>>({ op: is('reserve-inos'), count: uint32 }),
  'path-of': shape<RequestOf<'path-of'>>({ op: is('path-of'), ino }),
  statistics: fc.constant({ op: 'statistics' }),
  flush: fc.constant({ op: 'flush' }),
  'lock-conflict': shape<RequestOf<'lock-conflict'>>({ op: is('lock-conflict'), ...lockOperation }),
  'try-lock': shape<RequestOf<'try-lock'>>({ op: is('try-lock'), ...lockOperation }),
  'wait-lock': shape<RequestOf<'wait-lock'>>({ op: is('wait-lock'), ...lockOperation }),
};

type WriteOf<K extends RecordWrite['kind']> = Extract<RecordWrite, { kind: K }>;
const recordWrite: Arbitrary<RecordWrite> = fc.oneof(
  shape<WriteOf<'inode'>>({ kind: is('inode'), ino, record }, ['record']),
  shape<WriteOf<'dentry'>>({ kind: is('dentry'), parent: ino, name, ino, type: uint32 }),
  shape<WriteOf<'no-dentry'>>({ kind: is('no-dentry'), parent: ino, name }),
  shape<WriteOf<'xattr'>>({ kind: is('xattr'), ino, name: byteString, value: bytes }, ['value']),
  shape<WriteOf<'orphan'>>({ kind: is('orphan'), ino, present: bool }),
);

type ResultOf<K extends Result['op']> = Extract<Result, { op: K }>;
const dentry = fc.record({ ino, type: uint32 }, { noNullPrototype: true });

export const results: { [K in Result['op']]: Arbitrary<ResultOf<K>> } = {
  lookup: shape<ResultOf<'lookup'>>({ op: is('lookup'), inode: sentInode, entryLeased: bool }, ['inode']),
  inode: shape<ResultOf<'inode'>>({ op: is('inode'), inode: sentInode }, ['inode']),
  'read-directory': shape<ResultOf<'read-directory'>>({
    op: is('read-directory'),
    entries: fc.array(shape<SentEntry>({ name, dentry, inode: sentInode }, ['inode']), { maxLength: 4 }),
    complete: bool,
    leased: bool,
  }),
  xattrs: shape<ResultOf<'xattrs'>>({
    op: is('xattrs'),
    xattrs: fc.array(fc.record({ name: byteString, value: bytes }, { noNullPrototype: true }), {
      maxLength: 4,
    }),
    leased: bool,
  }),
  execute: shape<ResultOf<'execute'>>(
    {
      op: is('execute'),
      inode: sentInode,
      orphaned: record,
      writes: fc.array(recordWrite, { maxLength: 5 }),
      leased: fc.array(bool, { maxLength: 5 }),
    },
    ['orphaned'],
  ),
  acquire: shape<ResultOf<'acquire'>>({ op: is('acquire'), inode: sentInode }),
  'reserve-inos': shape<ResultOf<'reserve-inos'>>({ op: is('reserve-inos'), first: ino, count: uint32 }),
  'path-of': shape<ResultOf<'path-of'>>({ op: is('path-of'), path: byteString }, ['path']),
  statistics: shape<ResultOf<'statistics'>>({ op: is('statistics'), inodes: uint53 }),
  flush: fc.constant({ op: 'flush' }),
  'lock-conflict': shape<ResultOf<'lock-conflict'>>({ op: is('lock-conflict'), range: lockRange }, ['range']),
  'try-lock': shape<ResultOf<'try-lock'>>({ op: is('try-lock'), acquired: bool }),
  'wait-lock': fc.constant({ op: 'wait-lock' }),
};

// ---- Messages

const session = fc.record({ id: text, epoch: uint53 }, { noNullPrototype: true });
const live = shape<LiveAttributes>({
  size: uint53,
  allocatedBytes: uint53,
  atimeNs: time,
  mtimeNs: time,
  ctimeNs: time,
});
const health = shape<NodeHealth>({
  cpuLoad: double,
  freeBytes: double,
  storeReachable: bool,
  storeLatencyMs: double,
  cachedBytes: double,
  stagedBytes: double,
  conflicts: uint53,
  requests: fc.dictionary(fc.stringMatching(/^[A-Z][A-Z_0-9]*$/), uint53, { noNullPrototype: true }),
});
const notice: Arbitrary<Notice> = fc.oneof(
  shape<Extract<Notice, { kind: 'entry' }>>({ kind: is('entry'), parent: ino, name }),
  shape<Extract<Notice, { kind: 'inode' }>>({ kind: is('inode'), ino, orphaned: bool }),
);

type FromClient<K extends ClientMessage['kind']> = Extract<ClientMessage, { kind: K }>;
type FromServer<K extends ServerMessage['kind']> = Extract<ServerMessage, { kind: K }>;

export const clientMessages: { [K in ClientMessage['kind']]: Arbitrary<FromClient<K>> } = {
  hello: shape<FromClient<'hello'>>(
    {
      kind: is('hello'),
      protocolMin: uint32,
      protocolMax: uint32,
      software: text,
      session,
      site: text,
      member: text,
      mountpoint: text,
      pid: uint32,
      claims: fc.array(
        shape<Claim>({ ino, mode: fc.constantFrom('known', 'write'), committing: uint53 }, ['committing']),
      ),
      locks: fc.array(shape<ClaimedLock>({ ino, family: lockFamily, range: lockRange })),
      answeredBelow: uint53,
      connection: uint53,
    },
    ['session'],
  ),
  request: shape<FromClient<'request'>>({
    kind: is('request'),
    id: uint53,
    request: fc.oneof(...Object.values<Arbitrary<Request>>(requests)),
  }),
  cancel: shape<FromClient<'cancel'>>({ kind: is('cancel'), id: uint53 }),
  ack: shape<FromClient<'ack'>>({ kind: is('ack'), id: uint53, live }, ['live']),
  release: shape<FromClient<'release'>>({ kind: is('release'), inos: fc.array(ino) }),
  heartbeat: shape<FromClient<'heartbeat'>>({ kind: is('heartbeat'), beat: uint53, health }, ['health']),
  goodbye: fc.constant({ kind: 'goodbye' }),
};

export const serverMessages: { [K in ServerMessage['kind']]: Arbitrary<FromServer<K>> } = {
  welcome: shape<FromServer<'welcome'>>({
    kind: is('welcome'),
    protocol: uint32,
    session,
    resumed: bool,
    ttlMs: double,
    clusterId: text,
    sites: fc.array(siteSpec, { maxLength: 3 }),
  }),
  refused: shape<FromServer<'refused'>>(
    { kind: is('refused'), code: errorCode, message: text, leader: text },
    ['leader'],
  ),
  reply: shape<FromServer<'reply'>>({
    kind: is('reply'),
    id: uint53,
    result: fc.oneof(...Object.values<Arbitrary<Result>>(results)),
  }),
  error: shape<FromServer<'error'>>({
    kind: is('error'),
    id: uint53,
    code: errorCode,
    message: text,
    retryable: bool,
  }),
  notice: shape<FromServer<'notice'>>({
    kind: is('notice'),
    id: uint53,
    notices: fc.array(notice, { maxLength: 5 }),
  }),
  recall: shape<FromServer<'recall'>>({
    kind: is('recall'),
    id: uint53,
    ino,
    to: fc.constantFrom('known', 'read'),
  }),
  query: shape<FromServer<'query'>>({ kind: is('query'), id: uint53, ino }),
  heartbeat: shape<FromServer<'heartbeat'>>({ kind: is('heartbeat'), beat: uint53 }),
  sites: shape<FromServer<'sites'>>({ kind: is('sites'), sites: fc.array(siteSpec, { maxLength: 3 }) }),
};
