import type { Model, Operation } from './operation.js';

/**
 * Bound of one search. A configuration is a set of operations that have happened and the state they left,
 * about 150 bytes in the memo: 75 MB at most. A history of 1,000 operations by 8 processes takes some 10,000.
 */
export const CONFIGURATIONS_MAX = 500_000;

export type Searched = 'linearizable' | 'refused' | 'unknown';

/** A call or a return, in a doubly linked list in order of time. */
interface Event {
  readonly operation: number;
  readonly isCall: boolean;
  previous: Event | undefined;
  next: Event | undefined;
}

interface Choice<State> {
  readonly call: Event;
  /** Other states that the operation could have left, not tried yet. */
  readonly others: readonly State[];
  readonly stateBefore: State;
  readonly aheadBefore: readonly number[];
}

/**
 * The search of Wing and Gong (Testing and Verifying Concurrent Objects, 1993) with Lowe's memo of visited
 * configurations (Testing for linearizability, 2017). The next operation to happen is one that was called
 * before the first return that is still ahead; where none fits, the last choice is taken back.
 * Operations that never return may happen, and need not.
 */
class Search<State extends string | number, Input, Output> {
  readonly #model: Model<State, Input, Output>;
  readonly #history: readonly Operation<Input, Output>[];
  /** Position of an operation's return among all returns; those without one come last. */
  readonly #returnRank: number[];
  readonly #returns: (Event | undefined)[];
  readonly #head: Event = { operation: -1, isCall: true, previous: undefined, next: undefined };
  readonly #visited = new Set<string>();
  readonly #choices: Choice<State>[] = [];
  #state: State;
  /** Operations that have happened although returns before theirs are still ahead, sorted. */
  #ahead: readonly number[] = [];
  #returnsLeft = 0;

  constructor(model: Model<State, Input, Output>, history: readonly Operation<Input, Output>[]) {
    this.#model = model;
    this.#history = history;
    this.#state = model.initial;
    this.#returnRank = new Array<number>(history.length).fill(Infinity);
    this.#returns = new Array<Event | undefined>(history.length).fill(undefined);
    this.#link();
  }

  #link(): void {
    const events: (Event & { atNs: number })[] = this.#history.flatMap((operation, index) => {
      const event = { operation: index, previous: undefined, next: undefined };
      const call = { ...event, isCall: true, atNs: operation.callNs };
      if (operation.returnNs === Infinity) return [call];
      return [call, { ...event, isCall: false, atNs: operation.returnNs }];
    });
    // At the same nanosecond nobody knows which was first: calls go before returns, so that they overlap.
    events.sort((a, b) => a.atNs - b.atNs || Number(b.isCall) - Number(a.isCall));
    let last = this.#head;
    for (const event of events) {
      event.previous = last;
      last.next = event;
      last = event;
      if (event.isCall) continue;
      this.#returns[event.operation] = event;
      this.#returnRank[event.operation] = this.#returnsLeft++;
    }
  }

  run(configurationsMax: number): Searched {
    let at = this.#head.next;
    while (this.#returnsLeft > 0) {
      if (at === undefined) throw new Error('a return lies behind every call of the list');
      if (!at.isCall) {
        const choice = this.#takeBack();
        if (choice === undefined) return 'refused';
        at = this.#happens(choice.call, choice.others) ? this.#head.next : choice.call.next;
        continue;
      }
      if (!this.#happens(at, this.#after(at))) at = at.next;
      else if (this.#visited.size > configurationsMax) return 'unknown';
      else at = this.#head.next;
    }
    return 'linearizable';
  }

  #after(call: Event): readonly State[] {
    const { input, output } = this.#history[call.operation] as Operation<Input, Output>;
    return this.#model.step(this.#state, input, output);
  }

  /** Lets an operation happen now and leave the first of these states that has not been tried already. */
  #happens(call: Event, states: readonly State[]): boolean {
    if (states.length === 0) return false;
    this.#lift(call);
    const ahead = this.#aheadWith(call.operation);
    const happened = `${this.#firstReturn()}|${ahead.join()}|`;
    for (const [index, after] of states.entries()) {
      const configuration = `${happened}${after}`;
      if (this.#visited.has(configuration)) continue;
      this.#visited.add(configuration);
      const others = states.slice(index + 1);
      this.#choices.push({ call, others, stateBefore: this.#state, aheadBefore: this.#ahead });
      this.#state = after;
      this.#ahead = ahead;
      return true;
    }
    this.#putBack(call);
    return false;
  }

  /** Undoes the last choice. */
  #takeBack(): Choice<State> | undefined {
    const choice = this.#choices.pop();
    if (choice === undefined) return undefined;
    this.#state = choice.stateBefore;
    this.#ahead = choice.aheadBefore;
    this.#putBack(choice.call);
    return choice;
  }

  #firstReturn(): number {
    let event = this.#head.next;
    while (event?.isCall === true) event = event.next;
    return event === undefined ? Infinity : (this.#returnRank[event.operation] as number);
  }

  #aheadWith(operation: number): readonly number[] {
    const first = this.#firstReturn();
    return [...this.#ahead, operation]
      .filter((each) => (this.#returnRank[each] as number) > first)
      .sort((a, b) => a - b);
  }

  #lift(call: Event): void {
    unlink(call);
    const back = this.#returns[call.operation];
    if (back === undefined) return;
    unlink(back);
    this.#returnsLeft--;
  }

  /** In the opposite order of `#lift`, so that each finds its neighbours as they were. */
  #putBack(call: Event): void {
    const back = this.#returns[call.operation];
    if (back !== undefined) {
      relink(back);
      this.#returnsLeft++;
    }
    relink(call);
  }
}

function unlink(event: Event): void {
  if (event.previous !== undefined) event.previous.next = event.next;
  if (event.next !== undefined) event.next.previous = event.previous;
}

function relink(event: Event): void {
  if (event.previous !== undefined) event.previous.next = event;
  if (event.next !== undefined) event.next.previous = event;
}

/**
 * Whether some order of these operations respects real time and the model.
 * @returns `unknown` when more configurations than the bound would have to be looked at
 */
export function search<State extends string | number, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  configurationsMax = CONFIGURATIONS_MAX,
): Searched {
  return new Search(model, history).run(configurationsMax);
}
