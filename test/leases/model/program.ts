import type { Ino } from '../../../src/core/index.js';
import type { ModelClient } from './client.js';
import type { Attributes, ModelFiles } from './files.js';
import type { ModelNames } from './names.js';

const OPEN_MAX = 2;
const THINK_MAX_MS = 80;

export const NAMES = ['a', 'b', 'c'] as const;

/** A program on a mount: one system call after the other, at random, each checked when it returns. */
export class Program {
  readonly #client: ModelClient;
  readonly #files: ModelFiles;
  readonly #names: ModelNames;
  readonly #newIno: () => Ino;
  readonly #open: Ino[] = [];
  #left: number;
  finished = false;
  /** For the report of a program that never ends. */
  call = '';

  constructor(client: ModelClient, files: ModelFiles, names: ModelNames, calls: number, newIno: () => Ino) {
    this.#client = client;
    this.#files = files;
    this.#names = names;
    this.#left = calls;
    this.#newIno = newIno;
  }

  start(): void {
    this.#think();
  }

  #think(): void {
    const { node, world } = this.#client;
    node.after(world.simulation.delay(0, THINK_MAX_MS), () => this.#step());
  }

  readonly #next = (): void => this.#think();

  #step(): void {
    const { random } = this.#client.world.simulation;
    if (this.#left-- <= 0) {
      for (const ino of this.#open.splice(0)) this.#files.unuse(ino, false, random.chance(50));
      this.finished = true;
      return;
    }
    const ino = this.#open.length === 0 ? undefined : random.of(this.#open);
    if (ino === undefined || random.chance(30)) this.#name();
    else this.#file(ino);
  }

  #name(): void {
    const { random } = this.#client.world.simulation;
    const name = random.of(NAMES);
    const choice = random.int(100);
    this.call = `on name ${name} (${choice})`;
    if (choice < 55) {
      this.#names.open(name, (ino) => {
        if (ino !== undefined) this.#keepOpen(ino);
        this.#next();
      });
    } else if (choice < 75) {
      const ino = this.#newIno();
      this.#names.create(name, ino, (created) => {
        if (created) this.#keepOpen(ino);
        this.#next();
      });
    } else if (choice < 88) this.#names.unlink(name, this.#next);
    else this.#names.rename(name, random.of(NAMES.filter((other) => other !== name)), this.#next);
  }

  #keepOpen(ino: Ino): void {
    this.#open.push(ino);
    if (this.#open.length > OPEN_MAX) this.#close(this.#open[0] as Ino);
  }

  #close(ino: Ino): void {
    const { random } = this.#client.world.simulation;
    this.#open.splice(this.#open.indexOf(ino), 1);
    this.#files.unuse(ino, random.chance(30), random.chance(60));
  }

  #file(ino: Ino): void {
    const { random } = this.#client.world.simulation;
    const choice = random.int(100);
    this.call = `on inode ${ino} (${choice})`;
    if (choice < 30) this.#read(ino);
    else if (choice < 55) this.#files.write(ino, this.#next);
    else if (choice < 70) this.#stat(ino);
    else if (choice < 80) this.#files.sync(ino, random.chance(50), this.#next);
    else if (choice < 86) this.#files.change(ino, 'truncate', this.#next);
    else if (choice < 92) this.#files.change(ino, 'chmod', this.#next);
    else {
      this.#close(ino);
      this.#next();
    }
  }

  #read(ino: Ino): void {
    const { simulation, oracle } = this.#client.world;
    const begunMs = simulation.nowMs;
    this.#files.read(ino, (content) => {
      if (content !== undefined) oracle.content(ino).read(content, begunMs, simulation.nowMs);
      this.#next();
    });
  }

  #stat(ino: Ino): void {
    const { simulation, oracle } = this.#client.world;
    const begunMs = simulation.nowMs;
    this.#files.stat(ino, (found: Attributes | undefined) => {
      if (found !== undefined) {
        oracle.attributes(ino).read(found.attributes, begunMs, simulation.nowMs);
        oracle.content(ino).read(found.content, begunMs, simulation.nowMs);
      }
      this.#next();
    });
  }
}
