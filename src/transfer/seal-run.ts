/** One attempt to seal one content. */
export class SealRun {
  /** Somebody waits for it: it is not abandoned, whoever opens the file meanwhile waits, too. */
  readonly checkpoint: boolean;
  abandoned = false;
  phase: 'waiting' | 'storing' | 'committing' = 'waiting';
  #waiting: (() => void)[] | undefined;

  constructor(checkpoint = false) {
    this.checkpoint = checkpoint;
  }

  /** Resolves when the step that runs now has ended. */
  stepEnd(): Promise<void> {
    return new Promise((resolve) => (this.#waiting ??= []).push(resolve));
  }

  step(phase: SealRun['phase']): void {
    this.phase = phase;
    for (const wake of this.#waiting?.splice(0) ?? []) wake();
  }
}
