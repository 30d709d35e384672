export type GateMode = 'read' | 'write';

/**
 * Who uses one file's content now, and whether others may begin to. A recall closes it for a mode, waits for
 * those who are inside, and opens it again when the lease was let go of: whoever waited then asks for it anew.
 */
export class LeaseGate {
  /** Operations that go by it, inside or not. */
  users = 0;
  readonly #inside = { read: 0, write: 0 };
  readonly #closed: Record<GateMode, Promise<void> | undefined> = { read: undefined, write: undefined };
  #emptied: (() => void)[] = [];

  /** What to wait for before `enter`; undefined when it is open. */
  closed(mode: GateMode): Promise<void> | undefined {
    return this.#closed[mode];
  }

  enter(mode: GateMode): void {
    this.#inside[mode]++;
  }

  leave(mode: GateMode): void {
    this.#inside[mode]--;
    for (const wake of this.#emptied.splice(0)) wake();
  }

  /** Resolves when nobody is inside for any of the modes. */
  async drained(modes: readonly GateMode[]): Promise<void> {
    while (modes.some((mode) => this.#inside[mode] > 0)) {
      await new Promise<void>((resolve) => this.#emptied.push(resolve));
    }
  }

  /** Runs `work` while nobody is inside for any of the modes, and nobody enters. One after the other. */
  async alone<T>(modes: readonly GateMode[], work: () => Promise<T>): Promise<T> {
    const closed = (): GateMode | undefined => modes.find((mode) => this.#closed[mode] !== undefined);
    for (let mode = closed(); mode !== undefined; mode = closed()) await this.#closed[mode];
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    for (const mode of modes) this.#closed[mode] = opened;
    try {
      await this.drained(modes);
      return await work();
    } finally {
      for (const mode of modes) this.#closed[mode] = undefined;
      open();
    }
  }
}
