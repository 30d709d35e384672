import { GfsError, type Ino, ROOT_INO } from '../core/index.js';
import { decodeCounter, encodeCounter } from './codec.js';
import type { Keys } from './keys.js';
import type { KvStore } from './kv-store.js';

/**
 * Numbers are handed out below a mark that is kept in the store. The mark is raised long before it is
 * reached: a crash loses what was not committed yet, 1 s at most (LmdbStore's GROUP_MS_MAX), but never the
 * mark above a number that was in use, unless more than 2^19 inodes were made in that second (a create costs
 * about 10 µs of one core: 100,000/s). After a crash up to 2^20 of the 2^53 numbers are skipped.
 */
const STEP = 2 ** 20;

/** Hands out inode numbers, none of them twice, whatever crashes. */
export class InoAllocator {
  readonly #kv: KvStore;
  readonly #keys: Keys;
  readonly #onCommit: (committed: Promise<void>) => void;
  #next: number;
  #mark: number;

  /** Takes over the numbers from `meta/next-ino` on. The caller must sync the store before it uses them. */
  constructor(kv: KvStore, keys: Keys, onCommit: (committed: Promise<void>) => void) {
    this.#kv = kv;
    this.#keys = keys;
    this.#onCommit = onCommit;
    const stored = kv.get(keys.nextIno);
    if (stored === undefined) throw new GfsError('CORRUPT', 'the store has no inode counter');
    this.#next = Math.max(decodeCounter(stored), ROOT_INO + 1);
    this.#mark = this.#next;
    this.#raise();
  }

  /** @returns the first of `count` consecutive numbers that nobody else has or gets */
  reserve(count: number): Ino {
    if (!Number.isSafeInteger(count) || count < 1 || count > STEP / 2) {
      throw new GfsError('EINVAL', `cannot reserve ${count} inode numbers; at most ${STEP / 2} at once`);
    }
    const first = this.#next;
    this.#next += count;
    if (this.#next > this.#mark - STEP / 2) this.#raise();
    return first as Ino;
  }

  /** Lowers the mark to what was handed out, so that a clean restart leaves no gap. */
  release(): void {
    this.#mark = this.#next;
    this.#write();
  }

  #raise(): void {
    this.#mark = this.#next + STEP;
    this.#write();
  }

  #write(): void {
    this.#onCommit(this.#kv.commit([{ key: this.#keys.nextIno, value: encodeCounter(this.#mark) }]));
  }
}
