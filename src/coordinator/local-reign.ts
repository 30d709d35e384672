import { join } from 'node:path';
import type { KvStore } from '../namespace/index.js';
import { MemoryStore } from '../namespace/index.js';
import { Coordinator, type CoordinatorOptions } from './coordinator.js';
import { LmdbStore } from './lmdb-store.js';
import type { Reign } from './reign.js';

export interface LocalReignOptions {
  readonly kind: 'lmdb' | 'memory';
  readonly stateDir: string;
  readonly coordinator: Omit<CoordinatorOptions, 'kv'>;
}

/** A coordinator on a store of its own: it leads from the start to the end. */
export class LocalReign implements Reign {
  readonly role = 'leader';
  readonly ended: Promise<void>;
  readonly coordinator: Coordinator;
  #end: () => void = () => undefined;

  /** @throws GfsError EBUSY when another process has the store; CONFIG for another schema; CORRUPT */
  static async begin({ kind, stateDir, coordinator }: LocalReignOptions): Promise<LocalReign> {
    const kv: KvStore =
      kind === 'memory' ? new MemoryStore() : LmdbStore.open({ path: join(stateDir, 'namespace') });
    try {
      return new LocalReign(await Coordinator.open({ ...coordinator, kv }));
    } catch (thrown) {
      await kv.close();
      throw thrown;
    }
  }

  private constructor(coordinator: Coordinator) {
    this.coordinator = coordinator;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get readiness(): { readonly ready: boolean; readonly state: string } {
    return { ready: true, state: 'leader' };
  }

  leader(): undefined {
    return undefined;
  }

  async stop(): Promise<void> {
    await this.coordinator.stop();
    this.#end();
  }
}
