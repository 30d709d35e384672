/** First wait after all addresses have failed; doubled with every round, up to the last. */
const PAUSE_MIN_MS = 50;
const PAUSE_MAX_MS = 2000;

/** A leader that others named and that does not answer is tried this often in a row, then the list goes on. */
const REDIRECTS_MAX = 3;

/** Which coordinator to dial next, and how long to wait before. */
export class AddressWalk {
  readonly #addresses: readonly string[];
  readonly #random: () => number;
  #at = 0;
  /** Where an address of the list has said the leader is. */
  #leader: string | undefined;
  #redirects = 0;
  #failures = 0;
  #pauseMs = 0;

  constructor(addresses: readonly string[], random: () => number) {
    this.#addresses = addresses;
    this.#random = random;
  }

  get current(): string {
    return this.#leader ?? this.#addresses[this.#at % this.#addresses.length] ?? '';
  }

  /** Before `current` is dialled. Spread by half, so that all mounts of a leader that is gone do not come at once. */
  get pauseMs(): number {
    return this.#pauseMs;
  }

  /** The current address was the leader's for a while, and may be again. */
  settled(): void {
    this.#failures = 0;
    this.#redirects = 0;
    this.#pauseMs = PAUSE_MIN_MS * this.#random();
  }

  /** @param leader where the current address says to go instead */
  failed(leader: string | undefined): void {
    if (leader !== undefined && leader !== this.current && this.#redirects < REDIRECTS_MAX) {
      this.#redirects++;
      this.#leader = leader;
      this.#pauseMs = 0;
      return;
    }
    this.#leader = undefined;
    this.#at++;
    this.#failures++;
    const rounds = Math.floor(this.#failures / this.#addresses.length);
    const whole = this.#failures % this.#addresses.length === 0;
    if (whole) this.#redirects = 0;
    const pauseMs = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** Math.min(rounds - 1, 10));
    this.#pauseMs = whole ? pauseMs * (0.5 + this.#random() / 2) : 0;
  }
}
