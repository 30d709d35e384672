import { GfsError } from '../core/index.js';
import type { ClusterNode } from './compose-cluster.js';
import type { FileInfo, FsckReport, GcReport, MountControl, MountStatus } from './mount-service.js';
import { infoOf, type MountFacts, statusOf } from './node-report.js';

/** Reports of a mount in a cluster. Repairs are not a mount's to make there: the namespace is shared. */
export class ClusterMaintenance implements MountControl {
  readonly #node: ClusterNode;
  readonly #mount: MountFacts | undefined;

  constructor(node: ClusterNode, mount: MountFacts | undefined) {
    this.#node = node;
    this.#mount = mount;
  }

  async status(): Promise<MountStatus> {
    const { coordinators, tls, site, member } = this.#node.cluster;
    const { session, deadlineInMs } = this.#node.client.report();
    return {
      ...(await statusOf(this.#node, this.#mount)),
      cluster: {
        coordinators,
        tls: tls ?? null,
        site,
        member,
        session: session?.id ?? null,
        connected: deadlineInMs > 0,
      },
    };
  }

  info(path: string): Promise<FileInfo> {
    return infoOf(this.#node, path);
  }

  fsck(): Promise<FsckReport> {
    return Promise.reject(notHere('fsck'));
  }

  gc(): Promise<GcReport> {
    return Promise.reject(notHere('gc'));
  }
}

const notHere = (command: string): GfsError =>
  new GfsError('EOPNOTSUPP', `'${command}' works on a namespace of the mount's own, not on a cluster's`);
