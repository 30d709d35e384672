import type { Ino, Name } from '../../src/core/index.js';
import type { LeaseHost, LiveAttributes } from '../../src/coordinator/client.js';

/** A mount without a kernel: it notes what it is told, and does what the test says. */
export class SimpleHost implements LeaseHost {
  /** What it was told, as words: `entry 1/a`, `inode 5`, `read 5`, `write 5`, `all`, `lost`. */
  readonly told: string[] = [];
  readonly used = new Set<Ino>();
  readonly dirty = new Set<Ino>();
  readonly live = new Map<Ino, LiveAttributes>();
  /** What a call waits for, by its word. */
  readonly waits = new Map<string, Promise<void>>();
  /** Instead of doing nothing. */
  onYieldWrite: ((ino: Ino) => Promise<void>) | undefined;

  forgetEntry(parent: Ino, name: Name): Promise<void> | undefined {
    return this.#note(`entry ${parent}/${name}`);
  }

  forgetInode(ino: Ino): Promise<void> | undefined {
    return this.#note(`inode ${ino}`);
  }

  yieldRead(ino: Ino): Promise<void> | undefined {
    return this.#note(`read ${ino}`);
  }

  async yieldWrite(ino: Ino): Promise<void> {
    await this.#note(`write ${ino}`);
    await this.onYieldWrite?.(ino);
    this.dirty.delete(ino);
  }

  liveAttributes(ino: Ino): LiveAttributes | undefined {
    return this.live.get(ino);
  }

  inUse(ino: Ino): boolean {
    return this.used.has(ino);
  }

  forgetAll(): void {
    this.told.push('all');
  }

  uncommitted(): Iterable<Ino> {
    return this.dirty;
  }

  sessionLost(): void {
    this.told.push('lost');
  }

  #note(word: string): Promise<void> | undefined {
    this.told.push(word);
    return this.waits.get(word);
  }
}
