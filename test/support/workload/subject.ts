import { judge, type Kind } from '../linearizability/judge.js';
import type { Operation, Verdict } from '../linearizability/operation.js';
import type { Random } from '../random-steps.js';
import type { Answer, Worker } from './worker.js';

/**
 * What all mounts work on at once: a file, a log, some names, a lock. A subject makes up operations, has a
 * worker do them, keeps their history, and says at the end whether one copy could have given it.
 */
export interface Subject {
  readonly name: string;
  /** Makes what must be there before the first operation. */
  prepare(worker: Worker): Promise<void>;
  /** One operation, or a few that belong together. */
  work(worker: Worker, random: Random): Promise<void>;
  /** A last look, which would find what was lost. */
  inspect(worker: Worker): Promise<void>;
  /** What is wrong with the history; empty when nothing is. */
  problems(): string[];
  /** Operations in the history. */
  readonly size: number;
  /** For a failure's log. */
  histories(): unknown;
}

export interface SubjectSettings {
  /** Below the mount points; a file or directory of the subject's own. */
  readonly path: string;
  /** Writes are fsynced before they count as done: a mount will be killed. */
  readonly sync: boolean;
  /** Told of every answer that is an error which the operation does not explain (EIO, ESTALE, LOST, ...). */
  readonly failed: (worker: Worker, words: string, outcome: string) => void;
}

/** An error that no state of the filesystem explains: whether the operation happened is not known. */
const EXPLAINED = new Set(['ok', 'EEXIST', 'ENOENT', 'EISDIR', 'ENOTDIR', 'EAGAIN', 'EACCES']);

/** Unique in a run: values, records and owners are told apart by it. */
let lastToken = 0;
export const token = (): string => String(++lastToken);

/** In words; none of a history that is linearisable. */
export function problemsOf(title: string, found: Verdict): string[] {
  if (found.verdict === 'linearizable') return [];
  return [`${title}: ${found.verdict === 'refused' ? found.why : 'the search hit its bound'}`];
}

/** The history of one register of a subject. */
export class Register<S extends string | number, I, O> {
  readonly operations: Operation<I, O>[] = [];
  readonly #kind: Kind<S, I, O>;
  readonly #title: string;

  constructor(title: string, kind: Kind<S, I, O>) {
    this.#title = title;
    this.#kind = kind;
  }

  /** @param output undefined when the answer does not tell; then the operation may have happened, or not */
  add(worker: Worker, input: I, answer: Answer, output: O | undefined): void {
    const isKnown = EXPLAINED.has(answer.outcome);
    this.operations.push({
      process: worker.name,
      note: answer.words,
      input,
      output: isKnown ? output : undefined,
      callNs: answer.beganNs,
      returnNs: isKnown ? answer.endedNs : Infinity,
    });
  }

  /** @param judged of the operations, those that count */
  problems(judged: readonly Operation<I, O>[] = this.operations): string[] {
    return problemsOf(this.#title, judge(this.#kind, judged));
  }
}

/** The mount of a worker, by the names that both have. */
export const placeOf = ({ process }: { readonly process: string }): string => process.split('.')[0] ?? '';

interface Span {
  readonly process: string;
  readonly callNs: number;
  readonly returnNs: number;
}

/** Both at one mount, at one time. */
export const overlap = (one: Span, other: Span): boolean =>
  placeOf(one) === placeOf(other) && one.callNs <= other.returnNs && other.callNs <= one.returnNs;

/** Has a worker do something, and reports what failed for no reason of the operation's own. */
export async function done(
  settings: SubjectSettings,
  worker: Worker,
  ...words: (string | number)[]
): Promise<Answer> {
  const answer = await worker.ask(...words);
  if (!EXPLAINED.has(answer.outcome)) settings.failed(worker, words.join(' '), answer.outcome);
  return answer;
}

export const isLost = (answer: Answer): boolean => !EXPLAINED.has(answer.outcome);

/** Preparation has no faults to explain an error. */
export async function must(worker: Worker, ...words: (string | number)[]): Promise<Answer> {
  const answer = await worker.ask(...words);
  if (answer.outcome !== 'ok') throw new Error(`${worker.name}: ${words.join(' ')}: ${answer.outcome}`);
  return answer;
}

/** Opened for this operation, or open since an earlier one. */
export const how = (random: Random): 'fresh' | 'kept' => random.of(['fresh', 'kept'] as const);
