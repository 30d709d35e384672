/**
 * One direction of a connection in memory. What is sent in one turn of the event loop arrives together, in
 * order, in a later turn. While stalled nothing arrives.
 */
export class MemoryPipe<M> {
  readonly #schedule: (run: () => void) => void;
  readonly #deliver: (message: M) => void;
  /** What was sent in this turn. */
  #turn: (() => void)[] = [];
  /** What is under way, in order. */
  readonly #frames: (() => void)[] = [];
  /** Frames whose time has come. */
  #due = 0;
  #stalled = false;

  constructor(schedule: (run: () => void) => void, deliver: (message: M) => void) {
    this.#schedule = schedule;
    this.#deliver = deliver;
  }

  send(message: M): void {
    const copy = structuredClone(message);
    this.call(() => this.#deliver(copy));
  }

  /** Something that happens at the other end after what was sent before. */
  call(run: () => void): void {
    this.#turn.push(run);
    if (this.#turn.length === 1) setImmediate(() => this.#flush());
  }

  set stalled(stalled: boolean) {
    this.#stalled = stalled;
    if (!stalled) this.#schedule(() => this.#arrive());
  }

  #flush(): void {
    const calls = this.#turn;
    this.#turn = [];
    this.#frames.push(() => {
      for (const run of calls) run();
    });
    this.#schedule(() => {
      this.#due++;
      this.#arrive();
    });
  }

  #arrive(): void {
    while (this.#due > 0 && !this.#stalled) {
      this.#due--;
      this.#frames.shift()?.();
    }
  }
}
