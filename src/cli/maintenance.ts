import { kernelClock } from '../core/index.js';
import { scrub } from '../transfer/index.js';
import type { NodeParts } from './compose.js';
import type {
  FileInfo,
  FsckProblem,
  FsckReport,
  GcReport,
  MountControl,
  MountStatus,
} from './mount-service.js';
import { infoOf, type MountFacts, statusOf } from './node-report.js';

/** Reports and repairs of one state directory, the same whether it is mounted or not. */
export class Maintenance implements MountControl {
  readonly #node: NodeParts;
  readonly #mount: MountFacts | undefined;

  constructor(node: NodeParts, mount: MountFacts | undefined) {
    this.#node = node;
    this.#mount = mount;
  }

  status(): Promise<MountStatus> {
    return statusOf(this.#node, this.#mount);
  }

  info(path: string): Promise<FileInfo> {
    return infoOf(this.#node, path);
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
}
