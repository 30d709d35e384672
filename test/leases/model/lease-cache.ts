import type { Ino } from '../../../src/core/index.js';
import type { LeaseMode } from '../../../src/leases/index.js';
import {
  DIRECTORY,
  LEVELS,
  type ModelEntry,
  type ModelRecord,
  type SentName,
  type SentRecord,
} from './protocol.js';

export interface HeldLease {
  mode: LeaseMode;
  /** A recall is under way: for new uses the mode is this already. */
  recalledTo?: 'known' | 'read';
}

/** What a mount holds and keeps. Whether it may be used is a question of the deadline, which is not asked here. */
export class LeaseCache {
  readonly leases = new Map<Ino, HeldLease>();
  readonly records = new Map<Ino, ModelRecord>();
  readonly entries = new Map<string, ModelEntry>();

  level(ino: Ino): number {
    const lease = this.leases.get(ino);
    return lease === undefined ? 0 : LEVELS[lease.mode];
  }

  /** The level for new uses. */
  usableLevel(ino: Ino): number {
    const to = this.leases.get(ino)?.recalledTo;
    return to === undefined ? this.level(ino) : Math.min(this.level(ino), LEVELS[to]);
  }

  raise(ino: Ino, mode: LeaseMode): void {
    const lease = this.leases.get(ino);
    if (lease === undefined) this.leases.set(ino, { mode });
    else if (LEVELS[mode] > LEVELS[lease.mode]) lease.mode = mode;
  }

  sink(ino: Ino, mode: LeaseMode): void {
    const lease = this.leases.get(ino);
    if (lease !== undefined && LEVELS[lease.mode] > LEVELS[mode]) lease.mode = mode;
    if (mode === 'known') this.records.delete(ino);
  }

  keepRecord({ record, leased }: SentRecord): void {
    this.raise(record.ino, leased ? 'read' : 'known');
    if (leased) this.records.set(record.ino, record);
    else this.records.delete(record.ino);
  }

  keepName({ name, entry, leased }: SentName): void {
    if (leased) {
      this.raise(DIRECTORY, 'read');
      this.entries.set(name, entry);
    } else this.entries.delete(name);
  }

  release(ino: Ino): void {
    this.leases.delete(ino);
    this.records.delete(ino);
    if (ino === DIRECTORY) this.entries.clear();
  }

  clear(): void {
    this.leases.clear();
    this.records.clear();
    this.entries.clear();
  }
}
