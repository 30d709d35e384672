import { log, type LogInput, type LogOutput } from '../linearizability/log-model.js';
import { judge } from '../linearizability/judge.js';
import type { Operation } from '../linearizability/operation.js';
import type { Random } from '../random-steps.js';
import {
  done,
  how,
  isLost,
  must,
  overlap,
  problemsOf,
  Register,
  token,
  type Subject,
  type SubjectSettings,
} from './subject.js';
import type { Answer, Worker } from './worker.js';

const RECORD_BYTES = 32;

/** A log to which all append, with O_APPEND, by descriptors that stay open and by new ones. */
export class LogSubject implements Subject {
  readonly name: string;
  readonly #settings: SubjectSettings;
  readonly #register: Register<number, LogInput, LogOutput>;
  readonly #broken: string[] = [];

  constructor(settings: SubjectSettings) {
    this.name = settings.path;
    this.#settings = settings;
    this.#register = new Register(settings.path, log);
  }

  get size(): number {
    return this.#register.operations.length;
  }

  async prepare(worker: Worker): Promise<void> {
    await must(worker, 'create', this.name);
  }

  async work(worker: Worker, random: Random): Promise<void> {
    const pick = random.int(10);
    if (pick < 3) return this.#read(worker, how(random));
    if (pick < 5) return this.#count(worker);
    const record = `r${token()}`;
    const sync = this.#settings.sync || random.chance(10) ? '-sync' : '';
    const answer = await done(this.#settings, worker, `append${sync}`, how(random), this.name, record);
    this.#register.add(worker, { kind: 'append', record }, answer, 0);
  }

  async #count(worker: Worker): Promise<void> {
    const answer = await done(this.#settings, worker, 'size', this.name);
    if (isLost(answer)) return;
    const count = Number(answer.result) / RECORD_BYTES;
    if (answer.outcome !== 'ok' || !Number.isInteger(count)) this.#strange(worker, answer);
    else this.#register.add(worker, { kind: 'count' }, answer, count);
  }

  async #read(worker: Worker, as: 'fresh' | 'kept'): Promise<void> {
    const answer = await done(this.#settings, worker, 'records', as, this.name);
    if (isLost(answer)) return;
    const records = answer.result === '' ? [] : answer.result.split(',');
    if (answer.outcome !== 'ok' || records.includes('?')) this.#strange(worker, answer);
    else this.#register.add(worker, { kind: 'read' }, answer, records);
  }

  #strange(worker: Worker, answer: Answer): void {
    this.#broken.push(`${this.name}: ${worker.name} saw ${answer.outcome} ${answer.result.slice(-200)}`);
  }

  inspect(worker: Worker): Promise<void> {
    return this.#read(worker, 'fresh');
  }

  /**
   * While a FUSE kernel waits for the answer to an append of its own, its stat(2) tells the size that the server
   * has already, and its read(2) ends at the size that the kernel has still (FUSE_I_SIZE_UNSTABLE). So such
   * sizes are held to the appends and to each other, but not to what is read.
   */
  problems(): string[] {
    const all = this.#register.operations;
    const appends = all.filter(({ input }) => input.kind === 'append');
    const isAhead = (each: Operation<LogInput, LogOutput>): boolean =>
      each.input.kind === 'count' && appends.some((append) => overlap(append, each));
    const sizes = all.filter(({ input }) => input.kind !== 'read');
    const content = all.filter((each) => !isAhead(each));
    return [
      ...this.#broken,
      ...problemsOf(`${this.name}, sizes`, judge(log, sizes)),
      ...problemsOf(this.name, judge(log, content)),
    ];
  }

  histories(): unknown {
    return this.#register.operations;
  }
}
