import type { Random } from '../../support/random-steps.js';

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

const LATENCY_MIN_MS = 1;
const LATENCY_MAX_MS = 60;

/** Something that must never happen has happened. */
export class Violation extends Error {}

/** Time and chance of one schedule: events in the order of their times, from a binary heap. */
export class Simulation {
  readonly random: Random;
  readonly #evenly: boolean;
  nowMs = 0;
  /** Told what happens, for whoever looks into a violation. */
  readonly #trace: ((line: string) => void) | undefined;
  #heap: Event[] = [];
  #order = 0;
  #lastChange = 0;

  constructor(random: Random, trace?: (line: string) => void) {
    this.random = random;
    this.#trace = trace;
    this.#evenly = random.chance(50);
  }

  note(line: () => string): void {
    this.#trace?.(`${this.nowMs.toFixed(1)} ${line()}`);
  }

  /** Of one message: mostly short, or anything up to the longest, as this schedule's network is. */
  latency(): number {
    const share = this.random.int(1 << 20) / (1 << 20);
    return LATENCY_MIN_MS + (LATENCY_MAX_MS - LATENCY_MIN_MS) * (this.#evenly ? share : share ** 3);
  }

  /** A number that no other change has. */
  newChange(): number {
    return ++this.#lastChange;
  }

  /** From `leastMs` to `mostMs`, mostly near the lower end: a power of a uniform number. */
  delay(leastMs: number, mostMs: number): number {
    const share = this.random.int(1 << 20) / (1 << 20);
    return leastMs + (mostMs - leastMs) * share * share * share;
  }

  after(ms: number, run: () => void): void {
    this.at(this.nowMs + ms, run);
  }

  at(atMs: number, run: () => void): void {
    const heap = this.#heap;
    const event = { atMs: atMs < this.nowMs ? this.nowMs : atMs, order: this.#order++, run };
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent] as Event, event)) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  /** Runs events until nothing is left, `done` says so, or it is too late. @returns whether `done` said so */
  run(untilMs: number, done: () => boolean): boolean {
    while (!done()) {
      const event = this.#pop();
      if (event === undefined || event.atMs > untilMs) return false;
      this.nowMs = event.atMs;
      event.run();
    }
    return true;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (isBefore(last, heap[child] as Event)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

const isBefore = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/** A machine in the simulation: its clocks run at their own rate, and it can stand still, or die. */
export class SimulatedNode {
  readonly simulation: Simulation;
  readonly #rate: number;
  readonly #offsetMs: number;
  #wallOffsetMs = 0;
  #pausedUntilMs = 0;
  #dead = false;

  /** @param driftPercent how fast or slow the clock is at most */
  constructor(simulation: Simulation, driftPercent: number) {
    this.simulation = simulation;
    this.#rate = 1 + ((simulation.random.int(2001) - 1000) / 1000) * (driftPercent / 100);
    this.#offsetMs = simulation.random.int(1_000_000);
  }

  get dead(): boolean {
    return this.#dead;
  }

  monotonicMs(): number {
    return this.#offsetMs + this.simulation.nowMs * this.#rate;
  }

  wallMs(): number {
    return this.monotonicMs() + this.#wallOffsetMs;
  }

  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  pause(ms: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.simulation.nowMs + ms);
  }

  die(): void {
    this.#dead = true;
  }

  /** Runs on this node: now, or as soon as it goes on; never when it is dead. */
  run(task: () => void): void {
    if (this.#dead) return;
    if (this.simulation.nowMs < this.#pausedUntilMs) {
      this.simulation.at(this.#pausedUntilMs, () => this.run(task));
      return;
    }
    task();
  }

  /** A timer by this node's monotonic clock. */
  after(ms: number, task: () => void): void {
    this.simulation.after(ms / this.#rate, () => this.run(task));
  }
}
