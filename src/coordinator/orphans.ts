import { GfsError, type Ino, type Logger, errorFields } from '../core/index.js';
import type { Namespace, RecordWrite } from '../namespace/index.js';
import type { LeaseDesk } from './lease-desk.js';

/** Inodes that have lost their last name: each is deleted when no session knows it any more. */
export class Orphans {
  readonly #namespace: Namespace;
  readonly #desk: LeaseDesk;
  readonly #logger: Logger;
  #inos: Set<Ino>;
  /** After a takeover: who comes back may still know any of them. */
  #kept = true;

  constructor(namespace: Namespace, desk: LeaseDesk, logger: Logger) {
    this.#namespace = namespace;
    this.#desk = desk;
    this.#logger = logger;
    this.#inos = new Set(namespace.orphans());
  }

  note(writes: readonly RecordWrite[]): void {
    for (const write of writes) {
      if (write.kind !== 'orphan') continue;
      if (write.present) this.#inos.add(write.ino);
      else this.#inos.delete(write.ino);
    }
  }

  /** The store has undone what it could not keep. */
  reload(): void {
    this.#inos = new Set(this.#namespace.orphans());
  }

  /** All sessions that can come back have done so: from now on, what nobody knows is deleted. */
  begin(): void {
    this.#kept = false;
    this.reapUnknown();
  }

  /** A session does not use an inode any more. */
  released(ino: Ino): void {
    if (this.#inos.has(ino)) this.#reapIfUnknown(ino);
  }

  /** A session does not use many inodes any more. */
  reapUnknown(): void {
    for (const ino of [...this.#inos]) this.#reapIfUnknown(ino);
  }

  #reapIfUnknown(ino: Ino): void {
    if (this.#kept || this.#desk.machine.isKnown(ino)) return;
    this.#inos.delete(ino);
    try {
      this.#namespace.execute({ kind: 'reap', ino });
    } catch (thrown) {
      if (thrown instanceof GfsError && thrown.code === 'ESTALE') return; // deleted with its session's undone command
      this.#logger.error('An orphan cannot be deleted; the next leader tries again', {
        ino,
        ...errorFields(thrown),
      });
    }
  }
}
