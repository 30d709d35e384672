import { GfsError, kernelClock, parseName, ROOT_INO } from '../core/index.js';
import type { NamespaceClient } from '../coordinator/index.js';
import type { SessionStatistics } from '../fuse/index.js';
import {
  BLOCK_BYTES,
  type InodeRecord,
  isDirectory,
  isRegular,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFSOCK,
  typeOf,
} from '../namespace/index.js';
import type { NodeContentCache } from '../transfer/index.js';
import type { FileInfo, FileType, MountStatus } from './mount-service.js';
import { VERSION } from './version.js';

/** What a running mount adds to what its state directory says. */
export interface MountFacts {
  readonly mountpoint: string;
  readonly readOnly: boolean;
  /** By the monotonic clock. */
  readonly startedMs: number;
  readonly session: () => SessionStatistics;
  readonly passthroughReason: () => string;
  /** The kernel drops what it cached of names and attributes. */
  readonly forgetAll: () => void;
}

/** What the reports of a node are made from, whether it is alone or in a cluster. */
export interface ReportedNode {
  readonly stateDir: string;
  readonly client: NamespaceClient;
  readonly content: NodeContentCache;
  /** Where blocks are stored, for people. */
  readonly storePath: string;
}

export async function statusOf(node: ReportedNode, mount: MountFacts | undefined): Promise<MountStatus> {
  const session = mount?.session();
  const content = node.content.stats();
  const { inodes } = await node.client.statistics();
  return {
    version: VERSION,
    pid: process.pid,
    mountpoint: mount?.mountpoint ?? null,
    stateDir: node.stateDir,
    uptimeMs: mount === undefined ? 0 : Math.round(kernelClock.monotonicMs() - mount.startedMs),
    readOnly: mount?.readOnly ?? false,
    protocol: session?.protocol ?? null,
    passthrough: {
      enabled: session?.passthrough ?? false,
      reason: mount?.passthroughReason() ?? 'not mounted',
    },
    inodes,
    cache: { bytes: content.cachedBytes, maxBytes: content.cacheBytesMax },
    staged: { bytes: content.stagedBytes, files: content.queued },
    store: { path: node.storePath },
    requests: session?.requests ?? {},
  };
}

/** @throws GfsError ENOENT, ENOTDIR */
export async function infoOf(node: ReportedNode, path: string): Promise<FileInfo> {
  const record = await resolvePath(node.client, path);
  const states = isRegular(record)
    ? await node.content.describe(record.ino, record.manifest, record.sources)
    : [];
  const blocks = states.map(({ index, hash, present, staged }) => ({
    index,
    offset: index * BLOCK_BYTES,
    bytes: Math.max(0, Math.min(BLOCK_BYTES, record.size - index * BLOCK_BYTES)),
    hash: `blake3:${hash}`,
    present,
    staged,
  }));
  const { ino, mode, uid, gid, nlink, size, version, allocatedBytes } = record;
  return {
    ...{ ino, mode, uid, gid, nlink, size, version, allocatedBytes },
    type: fileType(record),
    staged: node.content.peek(ino)?.staged ?? false,
    cachedBytes: blocks.reduce((sum, block) => sum + (block.present ? block.bytes : 0), 0),
    blocks,
  };
}

async function resolvePath(client: NamespaceClient, path: string): Promise<InodeRecord> {
  let record = await client.inode(ROOT_INO);
  for (const part of path.split('/').filter((name) => name !== '' && name !== '.')) {
    if (record === undefined || !isDirectory(record)) {
      throw new GfsError('ENOTDIR', `${path}: a component before ${part} is no directory`);
    }
    record = await client.lookup(record.ino, parseName(part));
    if (record === undefined) throw new GfsError('ENOENT', `${path}: there is no ${part}`);
  }
  if (record === undefined) throw new GfsError('CORRUPT', 'the namespace has no root');
  return record;
}

const FILE_TYPES: ReadonlyMap<number, FileType> = new Map([
  [S_IFDIR, 'directory'],
  [S_IFLNK, 'symlink'],
  [S_IFIFO, 'fifo'],
  [S_IFSOCK, 'socket'],
  [S_IFBLK, 'block device'],
  [S_IFCHR, 'char device'],
]);

const fileType = (record: InodeRecord): FileType => FILE_TYPES.get(typeOf(record)) ?? 'file';
