import {
  counter,
  lock,
  type CounterInput,
  type CounterOutput,
  type LockInput,
  type LockOutput,
} from '../linearizability/lock-model.js';
import type { Random } from '../random-steps.js';
import { done, how, isLost, must, Register, token, type Subject, type SubjectSettings } from './subject.js';
import type { Answer, Worker } from './worker.js';

/** From when on a lock may have been lost. */
const sinceNs = (got: Answer): number => (isLost(got) ? got.beganNs : got.endedNs);

/** A counter in one file, read and written under the lock of another. */
export class CounterSubject implements Subject {
  readonly name: string;
  readonly #settings: SubjectSettings;
  readonly #lock: Register<string, LockInput, LockOutput>;
  readonly #counter: Register<number, CounterInput, CounterOutput>;

  constructor(settings: SubjectSettings) {
    this.name = settings.path;
    this.#settings = settings;
    this.#lock = new Register(`${settings.path}.lock`, lock);
    this.#counter = new Register(settings.path, counter);
  }

  get size(): number {
    return this.#lock.operations.length + this.#counter.operations.length;
  }

  async prepare(worker: Worker): Promise<void> {
    await must(worker, 'create', this.name);
    await must(worker, 'create', `${this.name}.lock`);
  }

  async work(worker: Worker, random: Random): Promise<void> {
    const owner = `${worker.name}#${token()}`;
    const kind = random.chance(30) ? 'try' : 'acquire';
    const word = kind === 'try' ? 'try-lock' : 'lock';
    const got = await done(this.#settings, worker, word, `${this.name}.lock`);
    const isBusy = got.outcome === 'EAGAIN' || got.outcome === 'EACCES';
    this.#lock.add(worker, { kind, owner }, got, isBusy ? 'busy' : 'ok');
    if (isBusy) return;
    const step = got.outcome === 'ok' ? await this.#increment(worker, how(random)) : got;
    const letGo = await done(this.#settings, worker, 'unlock', `${this.name}.lock`);
    const isInOrder = !isLost(got) && !isLost(step) && !isLost(letGo);
    // What failed on the way may have cost the lock at any time since it was taken.
    const release = isInOrder ? letGo : { ...letGo, outcome: 'LOST', beganNs: sinceNs(got) };
    this.#lock.add(worker, { kind: 'release', owner }, release, 'ok');
    // Closing a file lets go of its locks, too: nothing of this holder may be left to the next.
    if (!isInOrder) await worker.ask('drop', `${this.name}.lock`);
  }

  async #increment(worker: Worker, as: 'fresh' | 'kept'): Promise<Answer> {
    const answer = await done(this.#settings, worker, 'increment', as, this.name);
    this.#counter.add(worker, 'increment', answer, Number(answer.result));
    return answer;
  }

  async inspect(worker: Worker): Promise<void> {
    await this.#increment(worker, 'fresh');
  }

  problems(): string[] {
    return [...this.#lock.problems(), ...this.#counter.problems()];
  }

  histories(): unknown {
    return { lock: this.#lock.operations, counter: this.#counter.operations };
  }
}
