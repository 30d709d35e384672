import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type KvStore, type KvWrite, endOfPrefix } from '../../src/namespace/index.js';

export interface KvSubject {
  readonly store: KvStore;
  /** Closes the store and opens it again; undefined where nothing outlives a close. */
  readonly reopen: (() => Promise<KvStore>) | undefined;
  readonly dispose: () => Promise<void>;
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString('latin1');
const put = (key: string, value: string): KvWrite => ({ key, value: bytes(value) });
const remove = (key: string): KvWrite => ({ key, value: undefined });

/** What every KvStore promises. */
export function kvContract(name: string, make: () => Promise<KvSubject>): void {
  describe(`${name} is a KvStore`, () => {
    const subjects: KvSubject[] = [];
    const open = async (): Promise<KvSubject> => {
      const subject = await make();
      subjects.push(subject);
      return subject;
    };
    afterEach(async () => {
      for (const subject of subjects.splice(0)) await subject.dispose();
    });

    test('what is committed is seen at once, before and after it is stored', async () => {
      const { store } = await open();
      const done = store.commit([put('a', '1'), put('b', '2')]);
      expect([text(store.get('a')), text(store.get('b')), store.get('c')]).toEqual(['1', '2', undefined]);
      await done;
      await store.sync();
      expect([text(store.get('a')), text(store.get('b')), store.get('c')]).toEqual(['1', '2', undefined]);
    });

    test('a deletion hides what is stored, and stays', async () => {
      const { store } = await open();
      await store.commit([put('a', '1'), put('b', '2')]);
      const done = store.commit([remove('a'), remove('never-there')]);
      expect(store.get('a')).toBeUndefined();
      expect(store.range({ start: '', end: '\xff' }).map(({ key }) => key)).toEqual(['b']);
      await done;
      await store.sync();
      expect(store.get('a')).toBeUndefined();
      expect(store.range({ start: '', end: '\xff' }).map(({ key }) => key)).toEqual(['b']);
    });

    test('values of zero bytes, and of 64 KiB, come back as they were', async () => {
      const { store } = await open();
      const large = Buffer.alloc(65_536, 'x');
      await store.commit([
        { key: 'empty', value: new Uint8Array(0) },
        { key: 'large', value: large },
      ]);
      await store.sync();
      expect(store.get('empty')).toHaveLength(0);
      expect(Buffer.compare(store.get('large') ?? Buffer.alloc(0), large)).toBe(0);
    });

    test('a lazy value is encoded at most once, and seen like any other', async () => {
      const { store } = await open();
      let calls = 0;
      const value = (): Uint8Array => bytes(String(++calls));
      const done = store.commit([{ key: 'lazy', value }]);
      expect(text(store.get('lazy'))).toBe('1');
      expect(store.range({ start: 'l', end: 'm' }).map((entry) => text(entry.value))).toEqual(['1']);
      await done;
      await store.sync();
      expect([text(store.get('lazy')), calls]).toEqual(['1', 1]);
    });

    test('keys may hold any byte, and are ordered as bytes', async () => {
      const { store } = await open();
      const keys = Array.from({ length: 256 }, (_, byte) => `k${String.fromCharCode(byte)}`);
      const shuffled = [...keys].sort(
        (a, b) => ((a.charCodeAt(1) * 89) % 256) - ((b.charCodeAt(1) * 89) % 256),
      );
      await store.commit(shuffled.map((key) => put(key, key)));
      await store.sync();
      const found = store.range({ start: 'k', end: endOfPrefix('k') });
      expect(found.map(({ key }) => key)).toEqual(keys);
      expect(found.map(({ value }) => text(value))).toEqual(keys);
    });

    test('keys of 300 bytes differ in their last one', async () => {
      const { store } = await open();
      const long = `dentry/${'9'.repeat(16)}/${'\xff'.repeat(276)}`;
      await store.commit([put(`${long}a`, 'a'), put(`${long}b`, 'b')]);
      await store.sync();
      expect(text(store.get(`${long}b`))).toBe('b');
      expect(store.range({ start: `${long}a`, afterStart: true, end: 'e' })).toHaveLength(1);
    });

    test('what was committed is there after a reopen', async () => {
      const { store, reopen } = await open();
      if (reopen === undefined) return;
      void store.commit([put('a', '1')]);
      void store.commit([put('b', '2'), remove('a')]);
      const again = await reopen();
      expect([again.get('a'), text(again.get('b'))]).toEqual([undefined, '2']);
    });

    test('any sequence of commits, syncs and ranges agrees with a sorted map', async () => {
      const key = fc.string({
        unit: fc.constantFrom('a', 'b', '\x00', '\xff', '/'),
        minLength: 1,
        maxLength: 4,
      });
      const write = fc.record({
        key,
        value: fc.option(
          fc.string({ maxLength: 5 }).map((raw) => Buffer.from(raw)),
          { nil: undefined, freq: 3 },
        ),
      });
      const range = fc.record({
        start: key,
        end: key,
        afterStart: fc.boolean(),
        limit: fc.option(fc.nat(6), { nil: undefined }),
      });
      const step = fc.oneof(
        { weight: 6, arbitrary: fc.array(write, { maxLength: 6 }).map((writes) => ({ writes })) },
        { weight: 4, arbitrary: range.map((asked) => ({ asked })) },
        { weight: 1, arbitrary: fc.constant({ sync: true }) },
        { weight: 1, arbitrary: fc.constant({ turn: true }) },
      );
      const { store } = await open();
      const runSteps = async (steps: readonly object[]): Promise<void> => {
        const model = new Map<string, string>();
        void store.commit(
          store.range({ start: '\x00', end: '\xff\xff\xff\xff\xff' }).map((entry) => remove(entry.key)),
        );
        for (const each of steps) await runStep(store, model, each);
      };
      await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), runSteps), { numRuns: 150 });
    });
  });
}

type Step = {
  writes?: KvWrite[];
  asked?: { start: string; end: string; afterStart: boolean; limit: number | undefined };
  sync?: true;
};

async function runStep(store: KvStore, model: Map<string, string>, step: Step): Promise<void> {
  if (step.writes !== undefined) {
    void store.commit(step.writes);
    for (const { key, value } of step.writes) {
      if (value === undefined) model.delete(key);
      else model.set(key, text(value as Uint8Array) ?? '');
    }
  } else if (step.asked !== undefined) {
    const { start, end, afterStart, limit } = step.asked;
    const expected = [...model]
      .filter(([key]) => (afterStart ? key > start : key >= start) && key < end)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, limit ?? model.size);
    const found = store.range({ start, end, afterStart, ...(limit === undefined ? {} : { limit }) });
    expect(found.map(({ key, value }) => [key, text(value)])).toEqual(expected);
  } else if (step.sync === true) {
    await store.sync();
  } else {
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const [key, value] of model) expect(text(store.get(key))).toBe(value);
}
