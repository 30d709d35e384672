import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Reaper } from '../../test/support/reaper.js';
import type { InputOf, Order, OutputOf, Outcome, TaskName } from './worker-tasks.js';

const PROGRAM = fileURLToPath(new URL('worker.js', import.meta.url));

/** A worker, seen from the benchmark that gives it orders. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #reaper: Reaper;

  private constructor(child: ChildProcess, reaper: Reaper) {
    this.#child = child;
    this.#reaper = reaper;
  }

  static start(reaper: Reaper): WorkerProcess {
    const child = fork(PROGRAM, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    if (child.pid !== undefined) reaper.process(child.pid);
    return new WorkerProcess(child, reaper);
  }

  /** One order at a time. @throws Error what the worker threw, or that it has ended */
  async run<T extends TaskName>(task: T, input: InputOf<T>): Promise<OutputOf<T>> {
    const answer = new Promise<Outcome>((resolve, reject) => {
      const ended = (): void => reject(new Error(`the worker ended during ${task}`));
      this.#child.once('exit', ended);
      this.#child.once('message', (outcome: Outcome) => {
        this.#child.off('exit', ended);
        resolve(outcome);
      });
    });
    this.#child.send({ task, input } satisfies Order);
    const outcome = await answer;
    if ('error' in outcome) throw new Error(`${task}: ${outcome.error}`);
    return outcome.output as OutputOf<T>;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.disconnect();
    await ended;
    if (this.#child.pid !== undefined) this.#reaper.processGone(this.#child.pid);
  }
}

/** Runs `body` with so many workers, and ends them. */
export async function withWorkers<T>(
  count: number,
  reaper: Reaper,
  body: (workers: readonly WorkerProcess[]) => Promise<T>,
): Promise<T> {
  const workers = Array.from({ length: count }, () => WorkerProcess.start(reaper));
  try {
    return await body(workers);
  } finally {
    await Promise.all(workers.map((worker) => worker.end()));
  }
}
