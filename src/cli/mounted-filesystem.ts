import { close, open } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { errorFields, type GfsError, kernelClock, type Logger, native, toGfsError } from '../core/index.js';
import { FuseSession, MAX_IO_BYTES, mountFuse, unmountFuse } from '../fuse/index.js';
import type { NamespaceClient } from '../coordinator/index.js';
import type { NodeContentCache } from '../transfer/index.js';
import type {
  FileInfo,
  FsckReport,
  GcReport,
  MountControl,
  MountSettings,
  MountStatus,
  RunningMount,
} from './mount-service.js';
import { mountAt, readMounts, SOURCE_PREFIX } from './mountinfo.js';
import type { MountFacts } from './node-report.js';

/** How long the kernel may keep names and attributes: it is told when they change. One year. */
const VALIDITY_SEC = 31_536_000;
/** How much the kernel reads ahead for files that pass through the process. */
const READ_AHEAD_KB = 4096;
/** After a lazy unmount: time for programs to close their files, before they get errors. */
const CLOSE_GRACE_MS = 1_000;
/** How long the kernel may take to write back what memory maps have changed. */
const WRITE_BACK_MS = 5_000;

const openAsync = promisify(open);
const closeAsync = promisify(close);

/** What a mount serves: the state of one node, alone or in a cluster. */
export interface ServedNode {
  readonly client: NamespaceClient;
  readonly content: NodeContentCache;
  /** Other mounts change the same files. */
  readonly shared: boolean;
  /** What `df` shows where it is not the state's disk. */
  readonly spaceBytes?: number;
  maintain(mount: MountFacts | undefined): MountControl;
  /** Seals what is closed, and lets go of everything. */
  close(): Promise<void>;
}

/** A mount that is served by this process, from mount(2) to the orderly end. */
export class MountedFilesystem implements RunningMount {
  readonly ended: Promise<void>;
  readonly #node: ServedNode;
  readonly #settings: MountSettings;
  readonly #session: FuseSession;
  readonly #maintenance: MountControl;
  readonly #fuseFd: number;
  #stopping: Promise<void> | undefined;
  #unmounted = false;

  static async start(node: ServedNode, settings: MountSettings): Promise<MountedFilesystem> {
    const fuseFd = await mountFuse({
      mountpoint: settings.mountpoint,
      source: `${SOURCE_PREFIX}${settings.stateDir}`,
      allowOther: settings.allowOther,
      maxReadBytes: MAX_IO_BYTES,
      kernelOptions: settings.kernelOptions,
    });
    const mounted = new MountedFilesystem(node, settings, fuseFd);
    try {
      await Promise.race([mounted.#session.answered, mounted.ended]);
      mounted.#session.checkServing();
    } catch (thrown) {
      await unmountFuse(settings.mountpoint, { lazy: true });
      throw thrown;
    }
    await mounted.#raiseReadAhead();
    return mounted;
  }

  private constructor(node: ServedNode, settings: MountSettings, fuseFd: number) {
    this.#node = node;
    this.#settings = settings;
    this.#fuseFd = fuseFd;
    const { client, content } = node;
    const privileged = process.geteuid?.() === 0;
    // What the kernel writes through a backing file must lose setuid as a local write does: the opener's
    // privileges count there, and CAP_FSETID would keep the bit.
    if (privileged) native.dropFsetid();
    this.#session = new FuseSession({
      fd: fuseFd,
      client,
      content,
      clock: kernelClock,
      logger: settings.logger,
      options: {
        readOnly: settings.readOnly,
        noAtime: settings.kernelOptions.includes('noatime'),
        noDirectoryAtime: settings.kernelOptions.includes('nodiratime'),
        validitySec: VALIDITY_SEC,
        stateDirectory: settings.stateDir,
        ...(node.spaceBytes === undefined ? {} : { spaceBytes: node.spaceBytes }),
      },
      wishes: {
        // A file that the kernel writes by itself cannot be recalled.
        passthrough: settings.passthrough && privileged && !node.shared,
        sharedLocks: settings.locks === 'shared',
        sharedContent: node.shared,
      },
    });
    this.#maintenance = node.maintain(this.#facts(privileged));
    this.ended = this.#serve();
  }

  status(): Promise<MountStatus> {
    return this.#maintenance.status();
  }

  info(path: string): Promise<FileInfo> {
    return this.#maintenance.info(path);
  }

  fsck(options: { repair: boolean }): Promise<FsckReport> {
    return this.#maintenance.fsck(options);
  }

  gc(options: { delete: boolean; graceMs: number }): Promise<GcReport> {
    return this.#maintenance.gc(options);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** The metadata store undid commands that the kernel believes in: it has to ask for everything again. */
  metadataLost(error: GfsError): void {
    this.#settings.logger.error('the metadata store could not keep the last changes', errorFields(error));
    this.#session.forgetAll();
  }

  #facts(privileged: boolean): MountFacts {
    const { settings, session } = { settings: this.#settings, session: this.#session };
    const reason = (): string => {
      if (!settings.passthrough) return 'turned off';
      if (this.#node.shared) return 'not in a cluster';
      if (!privileged) return 'needs root (CAP_SYS_ADMIN)';
      return session.statistics().passthrough
        ? 'the kernel offers it'
        : 'the kernel does not offer it (Linux 6.9)';
    };
    return {
      mountpoint: settings.mountpoint,
      readOnly: settings.readOnly,
      startedMs: kernelClock.monotonicMs(),
      session: () => session.statistics(),
      passthroughReason: reason,
      forgetAll: () => session.forgetAll(),
    };
  }

  async #serve(): Promise<void> {
    try {
      await this.#session.serve();
    } finally {
      this.#unmounted = true;
    }
  }

  async #stop(): Promise<void> {
    const { mountpoint, logger } = this.#settings;
    if (!this.#unmounted) {
      await this.#writeBack();
      await this.#unmount(mountpoint, logger);
    }
    await this.ended.catch(() => undefined); // reported to whoever awaits `ended`
    await closeAsync(this.#fuseFd);
    await this.#node.close();
  }

  /** Pages that memory maps changed are only in the kernel: it hands them over on syncfs. */
  async #writeBack(): Promise<void> {
    const work = (async () => {
      const fd = await openAsync(this.#settings.mountpoint, 'r');
      try {
        await native.syncfs(fd);
      } finally {
        await closeAsync(fd);
      }
    })();
    try {
      await Promise.race([work, delay(WRITE_BACK_MS, undefined, { ref: false })]);
    } catch (thrown) {
      this.#settings.logger.warn('the kernel could not be made to write back', errorFields(thrown));
    }
  }

  async #unmount(mountpoint: string, logger: Logger): Promise<void> {
    try {
      await unmountFuse(mountpoint, { lazy: false });
      return;
    } catch (thrown) {
      const { code } = toGfsError(thrown);
      if (code === 'EINVAL' || code === 'ENOENT') return; // unmounted by somebody else
      logger.info('files are open; unmounting lazily', { mountpoint });
    }
    await unmountFuse(mountpoint, { lazy: true });
    await Promise.race([this.ended.catch(() => undefined), delay(CLOSE_GRACE_MS, undefined, { ref: false })]);
    this.#session.stop();
  }

  async #raiseReadAhead(): Promise<void> {
    if (process.geteuid?.() !== 0) return;
    const device = mountAt(this.#settings.mountpoint, readMounts())?.device;
    if (device === undefined) return;
    try {
      await writeFile(`/sys/class/bdi/${device}/read_ahead_kb`, `${READ_AHEAD_KB}`);
    } catch (thrown) {
      this.#settings.logger.info('read-ahead stays at the kernel default', errorFields(thrown));
    }
  }
}
