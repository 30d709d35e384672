import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { GfsError } from '../../src/core/index.js';
import type { ObjectStore } from '../../src/sites/index.js';

export interface StoreUnderTest {
  readonly store: ObjectStore;
  readonly end: () => void | Promise<void>;
}

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const info of store.list(prefix)) keys.push(info.key);
  return keys;
}

/** The promises of the ObjectStore port; every implementation runs them. */
export function objectStoreContract(
  name: string,
  make: () => StoreUnderTest | Promise<StoreUnderTest>,
): void {
  describe(`${name} keeps the promises of an object store`, () => {
    let made: StoreUnderTest;
    let store: ObjectStore;
    beforeAll(async () => {
      made = await make();
      store = made.store;
    });
    afterAll(async () => made.end());

    test('what was put is read back, small, empty and large', async () => {
      const large = Buffer.alloc(3_000_001, 0x5a);
      for (const [key, body] of [
        ['a/small', bytesOf('hello')],
        ['a/empty', Buffer.alloc(0)],
        ['a/large', large],
      ] as const) {
        await store.put(key, body);
        const read = await store.get(key);
        expect(Buffer.compare(read.bytes, body)).toBe(0);
        expect(read.totalBytes).toBe(body.length);
        expect(await store.head(key)).toMatchObject({ key, bytes: body.length });
      }
    });

    test('a range read returns that range, cut where the object ends', async () => {
      const body = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251));
      await store.put('range/object', body);
      for (const [offset, length] of [
        [0, 10],
        [5, 0],
        [100, 150_000],
        [199_990, 100],
        [200_000, 5],
        [900_000, 5],
      ] as const) {
        const read = await store.get('range/object', { offset, length });
        expect(Buffer.compare(read.bytes, body.subarray(offset, offset + length))).toBe(0);
        expect(read.totalBytes).toBe(body.length);
      }
    });

    test('a missing object is ENOENT, has no head, and can be deleted', async () => {
      await expect(store.get('missing/object')).rejects.toMatchObject({ name: 'GfsError', code: 'ENOENT' });
      expect(await store.head('missing/object')).toBeUndefined();
      await expect(store.delete('missing/object')).resolves.toBeUndefined();
    });

    test('a deleted object is gone at once', async () => {
      await store.put('deleted/object', bytesOf('x'));
      await store.delete('deleted/object');
      expect(await store.head('deleted/object')).toBeUndefined();
      expect(await keysOf(store, 'deleted/')).toEqual([]);
    });

    test('a second put replaces the object', async () => {
      await store.put('twice', bytesOf('first, and longer'));
      await store.put('twice', bytesOf('second'));
      expect(Buffer.from((await store.get('twice')).bytes).toString()).toBe('second');
    });

    test('the caller may reuse its buffer once put has resolved', async () => {
      const body = bytesOf('before');
      await store.put('reused', body);
      body.fill(0);
      expect(Buffer.from((await store.get('reused')).bytes).toString()).toBe('before');
    });

    test('of concurrent puts of one key a reader sees one, whole', async () => {
      const sizes = [10, 70_000, 300_000];
      const bodies = Array.from({ length: 12 }, (_, i) => Buffer.alloc(sizes[i % 3] ?? 0, i + 1));
      await store.put('contended', bodies[0] ?? Buffer.alloc(0));
      const puts = Promise.all(bodies.map((body) => store.put('contended', body)));
      for (let i = 0; i < 50; i++) expectWhole((await store.get('contended')).bytes, bodies);
      await puts;
      expectWhole((await store.get('contended')).bytes, bodies);
    });

    test('list gives the keys with a prefix, in byte order, with their sizes', async () => {
      const keys = [
        'list/a',
        'list/a-b',
        'list/a.b',
        'list/a/c',
        'list/a/b/d',
        'list/A',
        'list/a0',
        'listing',
      ];
      for (const key of keys) {
        if (!(await clashes(store, key))) await store.put(key, bytesOf(key));
      }
      const listed = await keysOf(store, 'list');
      expect(listed).toEqual([...listed].sort());
      expect(listed).toEqual(expect.arrayContaining(['list/A', 'list/a-b', 'list/a0', 'listing']));
      expect(await keysOf(store, 'list/a-')).toEqual(['list/a-b']);
      expect(await keysOf(store, 'nothing/here')).toEqual([]);
      for await (const info of store.list('list')) {
        expect(info.bytes).toBe(info.key.length);
        expect(Math.abs(info.modifiedMs - Date.now())).toBeLessThan(60_000);
      }
    });

    test('any set of keys is listed in order', async () => {
      const segment = fc.stringMatching(/^[a-c][a-c.-]{0,2}$/);
      const key = fc.tuple(segment, segment).map(([a, b]) => `random/d${a}/f${b}`);
      await fc.assert(
        fc.asyncProperty(fc.uniqueArray(key, { maxLength: 12 }), async (keys) => {
          for (const each of keys) await store.put(each, bytesOf(each));
          expect(await keysOf(store, 'random/')).toEqual([...keys].sort());
          for (const each of keys) await store.delete(each);
        }),
        { numRuns: 30 },
      );
    });

    test('a key that is no relative path of plain segments is refused', async () => {
      for (const key of ['', '/a', 'a/', 'a//b', '../a', 'a/./b', 'a b', 'a\0']) {
        await expect(store.put(key, bytesOf('x'))).rejects.toMatchObject({ code: 'EINVAL' });
      }
    });

    test('a caller that gave up gets CANCELLED', async () => {
      const signal = AbortSignal.abort();
      await expect(store.put('cancelled', bytesOf('x'), signal)).rejects.toMatchObject({ code: 'CANCELLED' });
      await expect(store.get('twice', undefined, signal)).rejects.toMatchObject({ code: 'CANCELLED' });
      expect(await store.head('cancelled')).toBeUndefined();
    });

    test('sync resolves, also when many ask at once', async () => {
      const asks: Promise<void>[] = [];
      for (let i = 0; i < 40; i++) {
        await store.put(`sync/${i}`, bytesOf('x'));
        asks.push(store.sync());
      }
      await expect(Promise.all(asks)).resolves.toHaveLength(40);
    });
  });
}

function expectWhole(bytes: Uint8Array, bodies: Buffer[]): void {
  expect(bodies.some((body) => Buffer.compare(body, bytes) === 0)).toBe(true);
}

/** A directory cannot hold `a` and `a/c`; S3 can. No key of ours needs both. */
async function clashes(store: ObjectStore, key: string): Promise<boolean> {
  const parents = key.split('/').map((_, i, all) => all.slice(0, i).join('/'));
  for (const parent of parents) {
    if (parent !== '' && (await store.head(parent).catch((thrown: GfsError) => thrown)) !== undefined)
      return true;
  }
  return false;
}
