import { directory, type DirectoryInput, type DirectoryOutput } from '../linearizability/directory-model.js';
import type { Random } from '../random-steps.js';
import { done, isLost, must, Register, token, type Subject, type SubjectSettings } from './subject.js';
import type { Worker } from './worker.js';

const NAMES = ['a', 'b', 'c'];

/** A directory in which all make, remove, rename and look for the same few names. */
export class NamesSubject implements Subject {
  readonly name: string;
  readonly #settings: SubjectSettings;
  readonly #register: Register<string, DirectoryInput, DirectoryOutput>;

  constructor(settings: SubjectSettings) {
    this.name = settings.path;
    this.#settings = settings;
    this.#register = new Register(settings.path, directory);
  }

  get size(): number {
    return this.#register.operations.length;
  }

  async prepare(worker: Worker): Promise<void> {
    await must(worker, 'mkdir', this.name);
  }

  async work(worker: Worker, random: Random): Promise<void> {
    const name = random.of(NAMES);
    const pick = random.int(20);
    if (pick < 5) await this.#do(worker, { kind: 'create', name, token: token() });
    else if (pick < 6) await this.#do(worker, { kind: 'mkdir', name, token: token() });
    else if (pick < 9) await this.#do(worker, { kind: 'unlink', name });
    else if (pick < 10) await this.#do(worker, { kind: 'rmdir', name });
    else if (pick < 15) await this.#do(worker, { kind: 'look', name });
    else if (pick < 16) await this.inspect(worker);
    else {
      const to = random.of(NAMES.filter((other) => other !== name));
      await this.#do(worker, { kind: random.chance(75) ? 'rename' : 'exchange', name, to });
    }
  }

  async #do(worker: Worker, input: DirectoryInput): Promise<void> {
    const paths = [input.name, ...('to' in input ? [input.to] : [])].map((name) => `${this.name}/${name}`);
    const answer = await done(this.#settings, worker, input.kind, ...paths);
    const tells = input.kind === 'create' || input.kind === 'look';
    const output = tells && answer.outcome === 'ok' ? answer.result : answer.outcome;
    this.#register.add(worker, input, answer, output);
  }

  /** A list is a look at every name, each at some moment of the listing. */
  async inspect(worker: Worker): Promise<void> {
    const answer = await done(this.#settings, worker, 'list', this.name);
    if (isLost(answer)) return;
    const found = new Map(answer.result.split(',').map((each) => each.split('=') as [string, string]));
    for (const name of NAMES) {
      this.#register.add(worker, { kind: 'look', name }, answer, found.get(name) ?? 'ENOENT');
    }
  }

  problems(): string[] {
    return this.#register.problems();
  }

  histories(): unknown {
    return this.#register.operations;
  }
}
