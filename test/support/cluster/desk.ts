import type { Reaper } from '../reaper.js';
import { Worker, type Answer } from '../workload/worker.js';
import type { ClusterMount } from './cluster-mount.js';

/** Longer than anything takes that is to end at all. */
const TIMEOUT_MS = 40_000;

/** Workers for tests that say step by step who does what where. */
export class Desks {
  readonly #reaper: Reaper;
  readonly #workers: Worker[] = [];

  constructor(reaper: Reaper) {
    this.#reaper = reaper;
  }

  /** A new worker on a mount. */
  async at(mount: ClusterMount, timeoutMs = TIMEOUT_MS): Promise<Worker> {
    const name = `${mount.name}.w${this.#workers.length}`;
    const worker = await Worker.start({ dir: mount.dir, name, reaper: this.#reaper, timeoutMs });
    this.#workers.push(worker);
    return worker;
  }

  async end(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.end()));
  }
}

/** What a worker answered, in a word or two: `ok 17`, `ENOENT`. */
export function said({ outcome, result }: Answer): string {
  return `${outcome} ${result}`.trim();
}

/** An operation that must not have ended yet; what it gives later. */
export class Pending {
  readonly answer: Promise<string>;
  #ended = false;

  constructor(operation: Promise<Answer>) {
    this.answer = operation.then(said);
    void operation.then(() => (this.#ended = true));
  }

  get ended(): boolean {
    return this.#ended;
  }
}
