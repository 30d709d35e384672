import type { Caller, Command, ManifestBlock, ManifestRef } from '../../namespace/index.js';
import { many, maybe, one, some } from './field-types.js';
import { message, union } from './message-types.js';
import { blockHash, bool, byteString, bytes, ino, name, text, time, uint32, uint53 } from './value-types.js';
import { killPrivileges, renameMode, xattrMode } from './word-types.js';

const caller = message<Caller>({ uid: one(1, uint32), gid: one(2, uint32) });

const manifestBlock = message<ManifestBlock>({ index: one(1, uint32), hash: one(2, blockHash) });

const manifest = union<ManifestRef, 'kind'>('kind', {
  inline: [1, { blocks: many(1, manifestBlock) }],
  object: [2, { hash: one(1, blockHash) }],
});

const newInode = {
  parent: one(1, ino),
  name: one(2, name),
  ino: one(3, ino),
  caller: one(4, caller),
  timeNs: one(5, time),
};
const newNode = { ...newInode, mode: one(6, uint32), umask: one(7, uint32) };
const removal = { parent: one(1, ino), name: one(2, name), timeNs: one(3, time) };

/** `message Command`. */
export const command = union<Command, 'kind'>('kind', {
  create: [1, newNode],
  mkdir: [2, newNode],
  mknod: [3, { ...newNode, rdev: one(8, uint32) }],
  symlink: [4, { ...newInode, target: one(6, byteString) }],
  tmpfile: [
    5,
    {
      parent: one(1, ino),
      ino: one(2, ino),
      caller: one(3, caller),
      timeNs: one(4, time),
      mode: one(5, uint32),
      umask: one(6, uint32),
    },
  ],
  link: [6, { ino: one(1, ino), parent: one(2, ino), name: one(3, name), timeNs: one(4, time) }],
  unlink: [7, removal],
  rmdir: [8, removal],
  rename: [
    9,
    {
      parent: one(1, ino),
      name: one(2, name),
      newParent: one(3, ino),
      newName: one(4, name),
      mode: one(5, renameMode),
      timeNs: one(6, time),
    },
  ],
  setattr: [
    10,
    {
      ino: one(1, ino),
      timeNs: one(2, time),
      mode: maybe(3, uint32),
      uid: maybe(4, uint32),
      gid: maybe(5, uint32),
      size: maybe(6, uint53),
      allocatedBytes: maybe(7, uint53),
      atimeNs: maybe(8, time),
      mtimeNs: maybe(9, time),
      ctimeNs: maybe(10, time),
      killPrivileges: maybe(11, killPrivileges),
      killSetgid: maybe(12, bool),
    },
  ],
  setxattr: [
    11,
    {
      ino: one(1, ino),
      name: one(2, byteString),
      value: one(3, bytes),
      mode: one(4, xattrMode),
      killSgid: one(5, bool),
      timeNs: one(6, time),
    },
  ],
  removexattr: [12, { ino: one(1, ino), name: one(2, byteString), timeNs: one(3, time) }],
  commit: [
    13,
    {
      ino: one(1, ino),
      baseVersion: one(2, uint53),
      manifest: one(3, manifest),
      size: one(4, uint53),
      allocatedBytes: one(5, uint53),
      sources: some(6, text),
      atimeNs: maybe(7, time),
      mtimeNs: maybe(8, time),
      ctimeNs: maybe(9, time),
    },
  ],
  reap: [14, { ino: one(1, ino) }],
});
