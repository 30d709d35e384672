import { GfsError, kernelClock, parseName, ROOT_INO } from '../core/index.js';
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
import { scrub } from '../transfer/index.js';
import type { NodeParts } from './compose.js';
import type { FileInfo, FileType, FsckProblem, FsckReport, GcReport, MountStatus } from './mount-service.js';
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

/** Reports and repairs of one state directory, the same whether it is mounted or not. */
export class Maintenance {
  readonly #node: NodeParts;
  readonly #mount: MountFacts | undefined;

  constructor(node: NodeParts, mount: MountFacts | undefined) {
    this.#node = node;
    this.#mount = mount;
  }

  status(): MountStatus {
    const mount = this.#mount;
    const session = mount?.session();
    const content = this.#node.content.stats();
    const { inodes } = this.#node.client.statistics();
    return {
      version: VERSION,
      pid: process.pid,
      mountpoint: mount?.mountpoint ?? null,
      stateDir: this.#node.stateDir,
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
      store: { path: this.#node.store.root },
      requests: session?.requests ?? {},
    };
  }

  async info(path: string): Promise<FileInfo> {
    const record = this.#resolve(path);
    const states = isRegular(record) ? await this.#node.content.describe(record.ino, record.manifest) : [];
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
      staged: this.#node.content.peek(ino)?.staged ?? false,
      cachedBytes: blocks.reduce((sum, block) => sum + (block.present ? block.bytes : 0), 0),
      blocks,
    };
  }

  /**
   * Records against each other, then every block in the store against its hash. A damaged block cannot be
   * repaired here: it is reported with the file that it belongs to.
   */
  async fsck({ repair }: { repair: boolean }): Promise<FsckReport> {
    const { namespace, blocks } = this.#node;
    const records = await namespace.check({ repair, timeNs: kernelClock.wallNs() });
    if (repair && records.problems.length > 0) this.#mount?.forgetAll();
    const problems: FsckProblem[] = records.problems.map((found) => ({
      ...found,
      ino: found.ino ?? null,
      path: found.path ?? null,
    }));
    for await (const { ino, offset, hash, what, problem } of scrub(blocks, namespace.inodes(), {
      deep: true,
    })) {
      const message = `the ${what} at offset ${offset} is ${problem} in the store`;
      const block = `blake3:${hash}`;
      const path = (await namespace.pathOf(ino)) ?? null;
      problems.push({ kind: `${what}-${problem}`, ino, path, offset, block, message, repaired: false });
    }
    return { problems, counts: records.counts };
  }

  async gc(options: { delete: boolean; graceMs: number }): Promise<GcReport> {
    const found = await this.#node.collect(options);
    return {
      unreferenced: { objects: found.garbageObjects, bytes: found.garbageBytes },
      deleted: { objects: found.deletedObjects, bytes: found.deletedBytes },
    };
  }

  #resolve(path: string): InodeRecord {
    let record = this.#node.client.inode(ROOT_INO);
    for (const part of path.split('/').filter((name) => name !== '' && name !== '.')) {
      if (record === undefined || !isDirectory(record)) {
        throw new GfsError('ENOTDIR', `${path}: a component before ${part} is no directory`);
      }
      record = this.#node.client.lookup(record.ino, parseName(part));
      if (record === undefined) throw new GfsError('ENOENT', `${path}: there is no ${part}`);
    }
    if (record === undefined) throw new GfsError('CORRUPT', 'the namespace has no root');
    return record;
  }
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
