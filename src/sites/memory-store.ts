import { throwIfAborted } from './abort.js';
import { checkObjectKey, missingObject } from './object-key.js';
import type { ObjectInfo, ObjectRead, ObjectStore } from './object-store.js';

interface Stored {
  readonly bytes: Uint8Array;
  readonly modifiedMs: number;
}

/** A store in memory: for tests and simulations. `wallMs` stamps the objects. */
export class MemoryStore implements ObjectStore {
  readonly #objects = new Map<string, Stored>();
  readonly #wallMs: () => number;

  constructor(wallMs: () => number = Date.now) {
    this.#wallMs = wallMs;
  }

  async put(key: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    checkObjectKey(key);
    await turn(signal);
    this.#objects.set(key, { bytes: Uint8Array.from(body), modifiedMs: this.#wallMs() });
  }

  async get(
    key: string,
    range?: { offset: number; length: number },
    signal?: AbortSignal,
  ): Promise<ObjectRead> {
    checkObjectKey(key);
    await turn(signal);
    const stored = this.#objects.get(key);
    if (stored === undefined) throw missingObject(key);
    const { offset, length } = range ?? { offset: 0, length: stored.bytes.length };
    return { bytes: stored.bytes.slice(offset, offset + length), totalBytes: stored.bytes.length };
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    checkObjectKey(key);
    await turn(signal);
    const stored = this.#objects.get(key);
    return stored && { key, bytes: stored.bytes.length, modifiedMs: stored.modifiedMs };
  }

  async delete(key: string, signal?: AbortSignal): Promise<void> {
    checkObjectKey(key);
    await turn(signal);
    this.#objects.delete(key);
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix)).sort();
    for (const key of keys) {
      const info = await this.head(key, signal);
      if (info !== undefined) yield info;
    }
  }

  async sync(): Promise<void> {
    // Nothing outlives the process.
  }
}

/** Answers come in a later turn, as from every other store. */
async function turn(signal: AbortSignal | undefined): Promise<void> {
  await Promise.resolve();
  throwIfAborted(signal);
}
