import { type Ino, type Logger, type Name, silentLogger, timeNs, type TimeNs } from '../../src/core/index.js';
import type { LeaseHost, LiveAttributes } from '../../src/coordinator/client.js';
import { RemoteClient, type RemoteClientOptions } from '../../src/coordinator/remote-client.js';
import type { MemoryLink } from '../../src/coordinator/wire/index.js';
import {
  type Command,
  type CommandResult,
  EMPTY_MANIFEST,
  type InodeRecord,
  type NamedDentry,
} from '../../src/namespace/index.js';
import { ADDRESS } from './scripted-mount.js';

/** The names and inodes that a command changes, as the author's kernel knows by itself. */
function touched(command: Command): {
  readonly entries: readonly [Ino, Name][];
  readonly inos: readonly Ino[];
} {
  switch (command.kind) {
    case 'rename': {
      const { parent, name, newParent, newName } = command;
      const entries: [Ino, Name][] = [
        [parent, name],
        [newParent, newName],
      ];
      return { entries, inos: [parent, newParent] };
    }
    case 'create':
    case 'mkdir':
    case 'mknod':
    case 'symlink':
    case 'unlink':
    case 'rmdir':
      return { entries: [[command.parent, command.name]], inos: [command.parent] };
    case 'link':
      return { entries: [[command.parent, command.name]], inos: [command.parent, command.ino] };
    default:
      return { entries: [], inos: [command.ino] };
  }
}

/**
 * A mount with the caches of a kernel: what is leased when it is shown is served from here, without asking
 * the client, until the client says otherwise. So a lease that is granted too far, or not called back, shows.
 */
export class KernelMount implements LeaseHost {
  readonly client: RemoteClient;
  /** Files that are open. */
  readonly open = new Set<Ino>();
  /** What is written here and not committed. */
  readonly staged = new Map<Ino, LiveAttributes>();
  /** Called with every commit that was done. */
  committed: (command: Command) => void = () => undefined;
  /** What was staged when the session was lost is lost with it, here. */
  lost: (inos: readonly Ino[]) => void = () => undefined;
  readonly #attributes = new Map<Ino, InodeRecord>();
  readonly #entries = new Map<
    string,
    { readonly record: InodeRecord | undefined; readonly ino: Ino | undefined }
  >();
  /** What is being committed, so that nobody commits it twice. */
  readonly #committing = new Map<Ino, Promise<void>>();

  constructor(
    link: MemoryLink,
    member: string,
    options: Pick<RemoteClientOptions, 'clock'> & Partial<RemoteClientOptions>,
    logger: Logger = silentLogger,
  ) {
    this.client = new RemoteClient({
      dialer: link,
      addresses: [ADDRESS],
      facts: { software: '0.2.0', site: 'here', member, mountpoint: '/globalfs', pid: 1 },
      logger,
      unreachable: { kind: 'wait' },
      random: () => 0.5,
      ...options,
    });
    this.client.serve(this);
  }

  /** @returns undefined when there is no such inode */
  async stat(ino: Ino): Promise<InodeRecord | undefined> {
    const kept = this.#attributes.get(ino);
    if (kept !== undefined) return kept;
    const record = await this.client.inode(ino);
    if (record !== undefined && this.client.attributesLeased(ino, record)) this.#attributes.set(ino, record);
    return record;
  }

  async lookup(parent: Ino, name: Name): Promise<InodeRecord | undefined> {
    const kept = this.#entries.get(`${parent}/${name}`);
    if (kept !== undefined) {
      if (kept.ino === undefined) return undefined;
      const record = await this.stat(kept.ino);
      if (record !== undefined) return record;
    }
    const record = await this.client.lookup(parent, name);
    if (this.client.entryLeased(parent, name, record?.ino ?? 'absent'))
      this.#entries.set(`${parent}/${name}`, { record, ino: record?.ino });
    return record;
  }

  /** @param page entries asked for at a time */
  async list(ino: Ino, page: number): Promise<NamedDentry[]> {
    const entries: NamedDentry[] = [];
    for (;;) {
      const found = await this.client.readDirectory(ino, entries.at(-1)?.name ?? '', page);
      entries.push(...found);
      if (found.length < page) return entries;
    }
  }

  async execute(command: Command): Promise<CommandResult> {
    const { entries, inos } = touched(command);
    // The kernel has looked up what the names mean: what loses or changes a name is another inode then.
    const named: (Ino | undefined)[] = [];
    for (const [parent, name] of entries) named.push((await this.#ofName(parent, name))?.ino);
    try {
      const result = await this.client.execute(command);
      for (const changed of [result.inode, result.orphaned]) {
        if (changed !== undefined) this.#attributes.delete(changed.ino);
      }
      return result;
    } finally {
      for (const [parent, name] of entries) this.#entries.delete(`${parent}/${name}`);
      for (const ino of [...inos, ...named]) if (ino !== undefined) this.#attributes.delete(ino);
    }
  }

  async #ofName(parent: Ino, name: Name): Promise<InodeRecord | undefined> {
    try {
      return await this.lookup(parent, name);
    } catch {
      return undefined; // no directory: the command will say so
    }
  }

  /** Writes a file's content anew, here only: others see its size and times, and make it be committed. */
  async write(ino: Ino, size: number, nowNs: TimeNs): Promise<LiveAttributes> {
    for (;;) {
      await this.#committing.get(ino);
      await this.client.acquire(ino, 'write');
      if (!this.client.holds(ino, 'write') || this.#committing.has(ino)) continue;
      const live = { size, allocatedBytes: size, atimeNs: nowNs, mtimeNs: nowNs, ctimeNs: nowNs };
      this.staged.set(ino, live);
      this.#attributes.delete(ino);
      return live;
    }
  }

  /** As stat(2) shows it: a record that was looked up before a commit does not count after it. */
  async sizeOf(ino: Ino): Promise<number> {
    for (;;) {
      const staged = this.staged.get(ino);
      const record = await this.stat(ino);
      if (staged === this.staged.get(ino)) return staged?.size ?? record?.size ?? -1;
    }
  }

  /** The record of the content that everybody has agreed on. */
  async read(ino: Ino): Promise<InodeRecord> {
    for (;;) {
      await this.#committing.get(ino);
      const record = await this.client.acquire(ino, 'read');
      if (this.client.holds(ino, 'read')) return record;
    }
  }

  commit(ino: Ino): Promise<void> {
    const running = this.#committing.get(ino);
    if (running !== undefined) return running;
    const live = this.staged.get(ino);
    if (live === undefined) return Promise.resolve();
    const commit = this.#commit(ino, live).finally(() => this.#committing.delete(ino));
    this.#committing.set(ino, commit);
    return commit;
  }

  get isCommitting(): boolean {
    return this.#committing.size > 0;
  }

  /** Resolves when all commits that are under way are answered. */
  async settled(): Promise<void> {
    await Promise.all(this.#committing.values());
  }

  async #commit(ino: Ino, live: LiveAttributes): Promise<void> {
    const record = await this.client.inode(ino);
    if (record === undefined || !this.staged.has(ino)) return;
    const { version } = record;
    const command: Command = { kind: 'commit', ino, baseVersion: version, manifest: EMPTY_MANIFEST, ...live };
    await this.client.execute(command, { keepWrite: false });
    this.staged.delete(ino);
    this.#attributes.delete(ino);
    this.committed(command);
  }

  /** Nothing is open or known to the kernel any more. */
  forgetKernel(): void {
    const inos = new Set([...this.#attributes.keys(), ...this.open]);
    for (const { ino } of this.#entries.values()) if (ino !== undefined) inos.add(ino);
    this.#attributes.clear();
    this.#entries.clear();
    this.open.clear();
    for (const ino of inos) this.client.unused(ino);
  }

  forgetEntry(parent: Ino, name: Name): Promise<void> | undefined {
    this.#entries.delete(`${parent}/${name}`);
    return undefined;
  }

  forgetInode(ino: Ino): Promise<void> | undefined {
    this.#attributes.delete(ino);
    return undefined;
  }

  yieldRead(ino: Ino): Promise<void> | undefined {
    this.#attributes.delete(ino);
    return undefined;
  }

  async yieldWrite(ino: Ino): Promise<void> {
    await this.commit(ino);
  }

  liveAttributes(ino: Ino): LiveAttributes | undefined {
    return this.staged.get(ino);
  }

  inUse(ino: Ino): boolean {
    return this.open.has(ino) || this.staged.has(ino) || this.#attributes.has(ino);
  }

  forgetAll(): void {
    this.#attributes.clear();
    this.#entries.clear();
  }

  uncommitted(): Iterable<Ino> {
    return this.staged.keys();
  }

  sessionLost(): void {
    this.lost([...this.staged.keys()]);
    this.staged.clear();
  }
}

export const stamp = (ns: number): TimeNs => timeNs(BigInt(ns));
