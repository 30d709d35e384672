import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../random-steps.js';
import type { Reaper } from '../reaper.js';
import { CounterSubject } from './counter-subject.js';
import { FileSubject } from './file-subject.js';
import { LogSubject } from './log-subject.js';
import { NamesSubject } from './names-subject.js';
import type { Subject, SubjectSettings } from './subject.js';
import { Worker } from './worker.js';

/** A directory that is the same for all who are coherent. */
export interface Place {
  /** `m1`. */
  readonly name: string;
  readonly dir: string;
}

export interface RunSettings {
  readonly places: readonly Place[];
  readonly workersPerPlace: number;
  /** Of all workers together; a few that belong together count as one. */
  readonly operations: number;
  /** The end comes then, if it has not come before. */
  readonly durationMs?: number;
  readonly seed: number;
  readonly reaper: Reaper;
  /** Every write is fsynced before it counts. With it, one worker a place: a second one would see what is not durable. */
  readonly sync: boolean;
  /** Whether holders keep their locks through every fault. */
  readonly locks: boolean;
  /** Of one operation; longer than any fault lasts. */
  readonly timeoutMs: number;
  /** Runs beside the operations of each round until `signal` aborts, and mends what it broke before it ends. */
  readonly faults?: (signal: AbortSignal) => Promise<void>;
}

export interface RunResult {
  readonly operations: number;
  readonly problems: readonly string[];
  /** Errors that no operation explains, by errno, with one example. */
  readonly errors: ReadonlyMap<string, { readonly count: number; readonly example: string }>;
  readonly histories: Readonly<Record<string, unknown>>;
}

/** After an error that a fault explains, so that a dead mount is not asked thousands of times a second. */
const AFTER_ERROR_MS = 100;

/** One register's operations at most, so that its history stays quick to judge. */
const SUBJECT_OPERATIONS_MAX = 1000;

/**
 * Lets all workers work at once on the same subjects, has every place look at the end, and judges the
 * histories. New subjects follow when the old ones have had their operations.
 */
export class CoherenceRun {
  readonly #settings: RunSettings;
  readonly #errors = new Map<string, { count: number; example: string }>();
  readonly #problems: string[] = [];
  readonly #histories: Record<string, unknown> = {};
  #left: number;
  #operations = 0;
  #endMs = Infinity;
  #round = 0;

  constructor(settings: RunSettings) {
    this.#settings = settings;
    this.#left = settings.operations;
  }

  async run(): Promise<RunResult> {
    this.#endMs = performance.now() + (this.#settings.durationMs ?? Infinity);
    while (this.#left > 0 && this.#problems.length === 0 && performance.now() < this.#endMs) {
      await this.#nextRound();
    }
    return {
      operations: this.#operations,
      problems: this.#problems,
      errors: this.#errors,
      histories: this.#histories,
    };
  }

  async #nextRound(): Promise<void> {
    const subjects = this.#subjects(`r${this.#round++}`);
    const desks = this.#settings.places.flatMap((place) =>
      Array.from({ length: this.#settings.workersPerPlace }, (_, i) => new Desk(place, i, this.#settings)),
    );
    try {
      const first = await (desks[0] as Desk).worker();
      for (const subject of subjects) await subject.prepare(first);
      await this.#workAmidFaults(subjects, desks);
      for (const { name } of this.#settings.places) {
        const desk = desks.find((each) => each.place.name === name) as Desk;
        for (const subject of subjects) await subject.inspect(await desk.worker());
      }
    } finally {
      await Promise.all(desks.map((desk) => desk.leave()));
    }
    for (const subject of subjects) this.#judge(subject);
  }

  async #workAmidFaults(subjects: readonly Subject[], desks: readonly Desk[]): Promise<void> {
    const ended = new AbortController();
    const faults = this.#settings.faults?.(ended.signal) ?? Promise.resolve();
    // A fault that cannot be made is a failure of the run, and ends it.
    faults.catch(() => ended.abort());
    let left = Math.min(this.#left, subjects.length * SUBJECT_OPERATIONS_MAX);
    this.#left -= left;
    const work = async (desk: Desk, index: number): Promise<void> => {
      const random = new Random(this.#settings.seed + 1000 * this.#round + index);
      while (left-- > 0 && !ended.signal.aborted && performance.now() < this.#endMs) {
        const errorsBefore = this.#errorCount();
        await random.of(subjects).work(await desk.worker(), random);
        this.#operations++;
        if (this.#errorCount() > errorsBefore) await delay(AFTER_ERROR_MS);
      }
    };
    await Promise.all(desks.map(work));
    ended.abort();
    await faults;
  }

  #judge(subject: Subject): void {
    const problems = subject.problems();
    if (problems.length === 0) return;
    this.#problems.push(...problems);
    this.#histories[subject.name] = subject.histories();
  }

  #errorCount(): number {
    return [...this.#errors.values()].reduce((sum, { count }) => sum + count, 0);
  }

  #failed = (worker: Worker, words: string, outcome: string): void => {
    const known = this.#errors.get(outcome) ?? { count: 0, example: `${worker.name}: ${words}` };
    this.#errors.set(outcome, { ...known, count: known.count + 1 });
  };

  #subjects(round: string): Subject[] {
    const { sync, locks } = this.#settings;
    const at = (name: string): SubjectSettings => ({ path: `${name}-${round}`, sync, failed: this.#failed });
    return [
      new FileSubject(at('small'), 1, false),
      new FileSubject(at('pages'), 5, false),
      new FileSubject(at('replaced'), 2, true),
      new LogSubject(at('log')),
      new NamesSubject(at('names')),
      new NamesSubject(at('more-names')),
      ...(locks ? [new CounterSubject(at('counter'))] : []),
    ];
  }
}

/** Where one worker sits: a new one comes when the old one is gone. */
class Desk {
  readonly place: Place;
  readonly #index: number;
  readonly #settings: RunSettings;
  #worker: Worker | undefined;
  #generation = 0;

  constructor(place: Place, index: number, settings: RunSettings) {
    this.place = place;
    this.#index = index;
    this.#settings = settings;
  }

  async worker(): Promise<Worker> {
    if (this.#worker?.alive === true) return this.#worker;
    const generation = this.#generation++;
    this.#worker = await Worker.start({
      dir: this.place.dir,
      name: `${this.place.name}.w${this.#index}${generation === 0 ? '' : `.${generation}`}`,
      reaper: this.#settings.reaper,
      timeoutMs: this.#settings.timeoutMs,
    });
    return this.#worker;
  }

  async leave(): Promise<void> {
    await this.#worker?.end();
  }
}
