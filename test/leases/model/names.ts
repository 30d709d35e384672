import type { Ino } from '../../../src/core/index.js';
import type { ModelClient } from './client.js';
import type { ModelFiles } from './files.js';
import { DIRECTORY, type ModelCommand, type ModelEntry, type ModelResult } from './protocol.js';

/** System calls on names. Each tells the oracle what it was told. */
export class ModelNames {
  readonly #client: ModelClient;
  readonly #files: ModelFiles;

  constructor(client: ModelClient, files: ModelFiles) {
    this.#client = client;
    this.#files = files;
  }

  /** `open`: the inode is in use from the moment at which the answer is known. */
  open(name: string, done: (ino: Ino | undefined) => void): void {
    const { simulation } = this.#client.world;
    this.#lookup(name, simulation.nowMs, (entry) => {
      if (entry.ino !== undefined) this.#files.use(entry.ino);
      done(entry.ino);
    });
  }

  /**
   * The inode is in use from the sending on: others may find it, and delete it, before the author is answered.
   */
  create(name: string, ino: Ino, done: (created: boolean) => void): void {
    const { simulation, rules } = this.#client.world;
    const early = rules.hold('files being created are in use');
    if (early) this.#files.use(ino);
    this.#change({ kind: 'create', name, ino, change: simulation.newChange() }, [name], (result) => {
      const created = result.op === 'execute' && !result.failed;
      if (created && !early) this.#files.use(ino);
      if (!created && early) this.#files.unuse(ino, false, true);
      done(created);
    });
  }

  unlink(name: string, done: () => void): void {
    const { simulation } = this.#client.world;
    this.#change({ kind: 'unlink', name, change: simulation.newChange() }, [name], done);
  }

  rename(name: string, newName: string, done: () => void): void {
    const { simulation } = this.#client.world;
    const command = { kind: 'rename', name, newName, change: simulation.newChange() } as const;
    this.#change(command, [name, newName], done);
  }

  #lookup(name: string, begunMs: number, done: (entry: ModelEntry) => void): void {
    const { cache, world } = this.#client;
    const known = cache.entries.get(name);
    if (known !== undefined && this.#client.has(DIRECTORY, 'read') && !this.#client.isTouched(name)) {
      if (known.ino === undefined || this.#client.has(known.ino, 'known')) {
        this.#told(name, known, begunMs);
        done(known);
        return;
      }
    }
    this.#client.request({ op: 'lookup', name }, (result, id) => {
      if (result.op !== 'lookup') return;
      const { entry } = result.sent;
      this.#told(name, entry, begunMs);
      if (result.inode !== undefined)
        world.oracle
          .attributes(result.inode.record.ino)
          .read(result.inode.record.attributes, begunMs, world.simulation.nowMs);
      if (entry.ino !== undefined && this.#client.isCrossed(entry.ino, id)) this.#lookup(name, begunMs, done);
      else done(entry);
    });
  }

  #change(command: ModelCommand, names: readonly string[], done: (result: ModelResult) => void): void {
    const { simulation, oracle } = this.#client.world;
    const begunMs = simulation.nowMs;
    this.#client.execute(command, false, (result) => {
      if (result.op === 'execute' && result.failed)
        for (const { name, entry } of result.names) this.#told(name, entry, begunMs);
      else if (result.op === 'execute')
        for (const name of names) oracle.name(name).acknowledge(command.change, simulation.nowMs);
      done(result);
    });
  }

  #told(name: string, entry: ModelEntry, begunMs: number): void {
    const { simulation, oracle } = this.#client.world;
    oracle.name(name).read(entry.change, begunMs, simulation.nowMs);
  }
}
