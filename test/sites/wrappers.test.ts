import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { setImmediate } from 'node:timers/promises';
import { GfsError, type GfsErrorCode, silentLogger } from '../../src/core/index.js';
import {
  LimitedStore,
  MemoryStore,
  MeteredStore,
  type ObjectInfo,
  type ObjectRead,
  type ObjectStore,
  type Reachability,
  RetryingStore,
  type RetryOptions,
  StoreHealth,
} from '../../src/sites/index.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { objectStoreContract } from './object-store-contract.js';

const BODY = Buffer.from('body');

/** A store whose requests fail as planned, one plan entry per request; '' and what follows the plan succeed. */
class FailingStore extends MemoryStore {
  readonly plan: (GfsErrorCode | '')[];
  requests = 0;

  constructor(plan: (GfsErrorCode | '')[] = []) {
    super();
    this.plan = plan;
  }

  #next(): void {
    this.requests++;
    const code = this.plan.shift() ?? '';
    if (code !== '') throw new GfsError(code, `failure ${this.requests}`);
  }

  override async put(key: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    this.#next();
    await super.put(key, body, signal);
  }

  override async get(
    key: string,
    range?: { offset: number; length: number },
    signal?: AbortSignal,
  ): Promise<ObjectRead> {
    this.#next();
    return super.get(key, range, signal);
  }

  /** Fails between two entries, where the plan says so. */
  override async *list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    for await (const info of super.list(prefix, signal)) {
      this.#next();
      yield info;
    }
  }
}

/** A store whose requests end when the test says so. */
class HeldStore extends MemoryStore {
  readonly held: (() => void)[] = [];
  running = 0;
  runningMost = 0;

  override async put(key: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    this.runningMost = Math.max(this.runningMost, ++this.running);
    await new Promise<void>((resolve) => this.held.push(resolve));
    this.running--;
    await super.put(key, body, signal);
  }
}

function retrying(store: ObjectStore, more: Partial<RetryOptions> = {}): [RetryingStore, SimulatedClock] {
  const clock = new SimulatedClock();
  return [new RetryingStore(store, { clock, random: () => 1, logger: silentLogger, ...more }), clock];
}

for (const [name, wrap] of [
  ['LimitedStore', (store: ObjectStore) => new LimitedStore(store, 3)],
  ['RetryingStore', (store: ObjectStore) => retrying(store)[0]],
  ['MeteredStore', (store: ObjectStore) => new MeteredStore(store, new SimulatedClock())],
] as const) {
  objectStoreContract(name, () => ({ store: wrap(new MemoryStore()), end: () => undefined }));
}

describe('LimitedStore', () => {
  test('lets as many requests through as it may, the others in the order they came', async () => {
    const inner = new HeldStore();
    const store = new LimitedStore(inner, 2);
    const done: number[] = [];
    const puts = Array.from({ length: 6 }, (_, i) => store.put(`k${i}`, BODY).then(() => done.push(i)));
    for (let i = 0; i < 6; i++) {
      await setImmediate();
      expect(inner.running).toBeLessThanOrEqual(2);
      inner.held.shift()?.();
    }
    await Promise.all(puts);
    expect(done).toEqual([0, 1, 2, 3, 4, 5]);
    expect(inner.runningMost).toBe(2);
  });

  test('lets a caller that waits give up, and its place goes to the next', async () => {
    const inner = new HeldStore();
    const store = new LimitedStore(inner, 1);
    const first = store.put('first', BODY);
    const giveUp = new AbortController();
    const second = store.put('second', BODY, giveUp.signal);
    const third = store.put('third', BODY);
    giveUp.abort();
    await expect(second).rejects.toMatchObject({ code: 'CANCELLED' });
    inner.held.shift()?.();
    await first;
    await setImmediate();
    inner.held.shift()?.();
    await third;
    expect(await inner.head('second')).toBeUndefined();
    expect(await inner.head('third')).toBeDefined();
  });

  test('gives the place of a failed request on', async () => {
    const store = new LimitedStore(new FailingStore(['EIO', 'EIO']), 1);
    const works = [store.put('a', BODY), store.put('b', BODY), store.put('c', BODY)];
    const outcomes = await Promise.allSettled(works);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
  });
});

describe('RetryingStore', () => {
  test('tries again what may succeed, after waits that double up to their most', async () => {
    const inner = new FailingStore(Array.from({ length: 7 }, () => 'UNAVAILABLE'));
    const [store, clock] = retrying(inner, { waitMs: 100, waitMaxMs: 1000 });
    await store.put('a', BODY);
    expect(inner.requests).toBe(8);
    expect(clock.sleeps).toEqual([100, 200, 400, 800, 1000, 1000, 1000]);
  });

  test('waits a random part of that, so that nodes do not come back at once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 8 }),
        async (shares) => {
          const left = [...shares];
          const inner = new FailingStore(shares.map(() => 'UNAVAILABLE'));
          const [store, clock] = retrying(inner, {
            random: () => left.shift() ?? 0,
            waitMs: 10,
            waitMaxMs: 80,
          });
          await store.put('a', BODY);
          expect(clock.sleeps).toEqual(shares.map((share, i) => share * Math.min(80, 10 * 2 ** i)));
        },
      ),
    );
  });

  test('does not try again what cannot succeed', async () => {
    for (const code of ['ENOENT', 'EACCES', 'ENOSPC', 'CORRUPT', 'CONFIG', 'EIO'] as const) {
      const inner = new FailingStore([code]);
      const [store] = retrying(inner);
      await expect(store.get('a')).rejects.toMatchObject({ code });
      expect(inner.requests).toBe(1);
    }
  });

  test('ends after its attempts, and after its time, with the last error', async () => {
    const failures = (): FailingStore => new FailingStore(Array.from({ length: 99 }, () => 'UNAVAILABLE'));
    const few = failures();
    await expect(retrying(few, { attemptsMax: 4 })[0].put('a', BODY)).rejects.toThrow('failure 4');
    const [store, clock] = retrying(failures(), {
      attemptsMax: 99,
      waitMs: 100,
      waitMaxMs: 400,
      totalMs: 1600,
    });
    await expect(store.put('a', BODY)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(clock.sleeps).toEqual([100, 200, 400, 400, 400]);
  });

  test('lets a caller give up between two attempts', async () => {
    const inner = new FailingStore(['UNAVAILABLE']);
    const giveUp = new AbortController();
    const [store] = retrying(inner, {
      random: () => {
        giveUp.abort();
        return 1;
      },
    });
    await expect(store.put('a', BODY, giveUp.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(inner.requests).toBe(1);
  });

  test('a listing that breaks off goes on where it was, each key once', async () => {
    const keys = Array.from({ length: 20 }, (_, i) => `k${String(i).padStart(2, '0')}`);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('' as const, 'UNAVAILABLE' as const), { maxLength: 60 }),
        async (plan) => {
          const inner = new FailingStore();
          for (const key of keys) await inner.put(key, BODY);
          inner.plan.push(...plan);
          const [store] = retrying(inner, { attemptsMax: 100, totalMs: 1e9 });
          const listed: string[] = [];
          for await (const { key } of store.list('')) listed.push(key);
          expect(listed).toEqual(keys);
        },
      ),
    );
  });
});

describe('MeteredStore', () => {
  test('counts calls, bytes, failures and time; a missing object is no failure', async () => {
    const clock = new SimulatedClock();
    const inner = new FailingStore(['', 'EIO', '', 'ENOENT']);
    const store = new MeteredStore(inner, clock);
    await store.put('a', BODY);
    await expect(store.put('b', BODY)).rejects.toMatchObject({ code: 'EIO' });
    expect((await store.get('a')).totalBytes).toBe(4);
    await expect(store.get('b')).rejects.toMatchObject({ code: 'ENOENT' });
    for await (const { key } of store.list('')) expect(key).toBe('a');
    const { operations, inFlight, lastError } = store.stats();
    expect(operations.put).toMatchObject({ calls: 2, failures: 1, bytes: 4 });
    expect(operations.get).toMatchObject({ calls: 2, failures: 0, bytes: 4 });
    expect(operations.list).toMatchObject({ calls: 1, failures: 0 });
    expect(inFlight).toBe(0);
    expect(lastError).toMatchObject({ code: 'EIO', message: 'failure 2', wallMs: clock.wallMs() });
  });

  test('measures what a call takes', async () => {
    const clock = new SimulatedClock();
    const inner = new FailingStore(['UNAVAILABLE', 'UNAVAILABLE']);
    const slow = new RetryingStore(inner, { clock, random: () => 1, logger: silentLogger, waitMs: 100 });
    const store = new MeteredStore(slow, clock);
    await store.put('a', BODY);
    await store.put('b', BODY);
    expect(store.stats().operations.put).toMatchObject({
      calls: 2,
      failures: 0,
      totalMs: 300,
      longestMs: 300,
    });
  });
});

describe('StoreHealth', () => {
  /** Answers, fails, or says nothing, as it is told. */
  class PatientStore extends MemoryStore {
    mood: 'well' | 'down' | 'silent' = 'well';

    override async head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
      if (this.mood === 'down') throw new GfsError('UNAVAILABLE', 'connection refused');
      if (this.mood === 'silent') {
        await new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(new GfsError('CANCELLED', 'the caller gave up')));
        });
      }
      return super.head(key, signal);
    }
  }

  test('tells that a store answers, fails, or says nothing, and when that changes', async () => {
    const store = new PatientStore();
    const changes: Reachability['state'][] = [];
    const health = new StoreHealth({
      store,
      clock: new SimulatedClock(),
      logger: silentLogger,
      onChange: ({ state }) => changes.push(state),
    });
    expect(health.now.state).toBe('unknown');
    await health.check();
    expect(health.now).toMatchObject({ state: 'reachable' });
    store.mood = 'down';
    await health.check();
    expect(health.now).toMatchObject({ state: 'unreachable', error: { message: 'connection refused' } });
    store.mood = 'silent';
    await health.check();
    expect(health.now).toMatchObject({ state: 'unreachable', error: { code: 'UNAVAILABLE' } });
    store.mood = 'well';
    await health.check();
    expect(changes).toEqual(['reachable', 'unreachable', 'reachable']);
  });

  test('asks at intervals until it is stopped', async () => {
    const store = new MeteredStore(new MemoryStore(), new SimulatedClock());
    const health = new StoreHealth({ store, clock: new SimulatedClock(), logger: silentLogger });
    health.start();
    health.start();
    while (store.stats().operations.head.calls < 5) await setImmediate();
    await health.stop();
    const { calls } = store.stats().operations.head;
    await setImmediate();
    expect(store.stats().operations.head.calls).toBe(calls);
  });
});
