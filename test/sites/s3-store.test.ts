import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { GfsError } from '../../src/core/index.js';
import {
  type ObjectStore,
  openStore,
  S3Store,
  type S3StoreOptions,
  type SiteStore,
} from '../../src/sites/index.js';
import { RGW_BUCKET, RGW_OTHER, STORE_OPTIONS, TestRgw } from '../support/rgw.js';
import { objectStoreContract } from './object-store-contract.js';

/** For the tests in which a server hangs: it is to be noticed soon. */
const IDLE_MS = 2000;

/** In which a busy machine has started a gateway again. */
const PATIENCE_MS = 100_000;

let rgw: TestRgw;
const opened: { close(): void }[] = [];

beforeAll(async () => {
  rgw = await TestRgw.start();
});
afterAll(async () => {
  for (const store of opened) store.close();
  await rgw.end();
});

async function bare(options: Partial<S3StoreOptions> = {}): Promise<S3Store> {
  const spec = options.spec ?? rgw.server.storeSpec(RGW_BUCKET);
  const store = await S3Store.open({
    site: 'onprem',
    credentials: rgw.credentials,
    ...options,
    spec,
  });
  opened.push(store);
  return store;
}

async function composed(retry: { totalMs?: number } = {}): Promise<SiteStore> {
  const options = {
    ...STORE_OPTIONS,
    idleTimeoutMs: IDLE_MS,
    retry: { attemptsMax: 1000, totalMs: PATIENCE_MS, ...retry },
  };
  const store = await openStore(rgw.site(), options);
  opened.push(store);
  return store;
}

async function failureOf(work: Promise<unknown>): Promise<GfsError> {
  const thrown: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof GfsError) return thrown;
  throw new Error(`no GfsError but ${String(thrown)}`);
}

/** The first key of a listing; undefined when there is none. */
async function anyKey(store: ObjectStore, prefix: string, signal?: AbortSignal): Promise<string | undefined> {
  for await (const { key } of store.list(prefix, signal)) return key;
  return undefined;
}

objectStoreContract('S3Store on Ceph RGW', async () => {
  const spec = { ...rgw.server.storeSpec(RGW_BUCKET), prefix: 'contract/' };
  return { store: await bare({ spec }), end: () => undefined };
});

objectStoreContract("a site's store, as openStore composes it,", async () => {
  const store = await openStore(rgw.site({ prefix: 'composed/', signPayload: true }), STORE_OPTIONS);
  return { store, end: () => store.close() };
});

describe('S3Store', () => {
  test('puts a large object in parts, and gets any part of it', async () => {
    const store = await bare({ multipartBytes: 20 * 1024 * 1024 });
    const body = randomBytes(37 * 1024 * 1024 + 11);
    await store.put('large', body);
    expect(await store.head('large')).toMatchObject({ bytes: body.length });
    expect(body.equals((await store.get('large')).bytes)).toBe(true);
    const offset = 16 * 1024 * 1024 - 5;
    const part = await store.get('large', { offset, length: 10 });
    expect(Buffer.from(part.bytes)).toEqual(body.subarray(offset, offset + 10));
  });

  test('lists more objects than a page holds', async () => {
    const store = await bare();
    const keys = Array.from({ length: 1100 }, (_, i) => `pages/${String(i).padStart(5, '0')}`);
    for (let i = 0; i < keys.length; i += 50) {
      await Promise.all(keys.slice(i, i + 50).map((key) => store.put(key, Buffer.from('x'))));
    }
    const listed: string[] = [];
    for await (const { key } of store.list('pages/')) listed.push(key);
    expect(listed).toEqual(keys);
  });

  test('keeps to its prefix', async () => {
    const inner = await bare({ spec: { ...rgw.server.storeSpec(RGW_BUCKET), prefix: 'team/a/' } });
    const outer = await bare();
    await inner.put('blocks/x', Buffer.from('1'));
    expect(await outer.head('team/a/blocks/x')).toMatchObject({ bytes: 1 });
    const keys: string[] = [];
    for await (const { key } of inner.list('')) keys.push(key);
    expect(keys).toEqual(['blocks/x']);
  });

  test('with a wrong secret or key is told EACCES: which site and bucket, and what to check', async () => {
    const wrong = await bare({ credentials: { ...rgw.credentials, secretAccessKey: 'wrong' } });
    const error = await failureOf(wrong.put('x', Buffer.from('x')));
    expect(error).toMatchObject({ code: 'EACCES', retryable: false });
    expect(error.message).toMatch(/site onprem, bucket data at http.*SignatureDoesNotMatch.*secretAccessKey/);
    expect(await failureOf(wrong.head('x'))).toMatchObject({ code: 'EACCES' });
    expect(await failureOf(anyKey(wrong, ''))).toMatchObject({ code: 'EACCES', retryable: false });
    const unknown = await bare({ credentials: { accessKeyId: 'nobody', secretAccessKey: 'x' } });
    expect((await failureOf(unknown.get('x'))).message).toMatch(/InvalidAccessKeyId.*check accessKeyId/);
  });

  test("in somebody else's bucket may do nothing", async () => {
    const other = await bare({ credentials: RGW_OTHER });
    const error = await failureOf(other.put('x', Buffer.from('x')));
    expect(error).toMatchObject({ code: 'EACCES', retryable: false });
    expect(error.message).toMatch(/AccessDenied.*what the key may do/);
  });

  test('with a missing bucket is told CONFIG, not that an object is missing', async () => {
    const store = await bare({ spec: rgw.server.storeSpec('no-such-bucket') });
    const works = [store.put('x', Buffer.from('x')), store.get('x'), store.delete('x'), anyKey(store, '')];
    for (const error of await Promise.all(works.map(failureOf))) {
      expect(error).toMatchObject({ code: 'CONFIG', retryable: false });
      expect(error.message).toMatch(/NoSuchBucket.*create the bucket/);
    }
  });

  test('makes its bucket, once or twice', async () => {
    const spec = rgw.server.storeSpec('made-here');
    const store = await bare({ spec });
    await store.createBucket();
    await store.createBucket();
    await store.put('x', Buffer.from('x'));
    const other = await bare({ spec, credentials: RGW_OTHER });
    expect(await failureOf(other.createBucket())).toMatchObject({ code: 'EEXIST' });
  });

  test('with a clock that is wrong is told by how much', async () => {
    const store = await bare({ wallMs: () => Date.now() + 7_200_000 });
    const error = await failureOf(store.put('x', Buffer.from('x')));
    expect(error.code).toBe('EACCES');
    expect(error.message).toMatch(
      /RequestTimeTooSkewed.*clock is 7(?:19|20)\d s ahead.*set this machine's clock/,
    );
  });

  test('of a user whose quota is used up is full (ENOSPC)', async () => {
    await rgw.server.admin(
      'quota',
      'set',
      '--quota-scope=user',
      `--uid=${RGW_OTHER.name}`,
      '--max-size=8192',
    );
    await rgw.server.admin('quota', 'enable', '--quota-scope=user', `--uid=${RGW_OTHER.name}`);
    const store = await bare({ spec: rgw.server.storeSpec('small'), credentials: RGW_OTHER });
    await store.createBucket();
    const error = await failureOf(store.put('x', Buffer.alloc(100_000)));
    expect(error).toMatchObject({ code: 'ENOSPC', retryable: false });
    expect(error.message).toMatch(/quota/);
  });

  test('that nobody serves is UNAVAILABLE', async () => {
    const spec = { ...rgw.server.storeSpec(RGW_BUCKET), endpoint: 'http://127.0.0.1:9' };
    const store = await bare({ spec });
    expect(await failureOf(store.get('x'))).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    expect(await failureOf(anyKey(store, ''))).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
  });

  test('with a server whose disk hangs is UNAVAILABLE, and well again when that is over', async () => {
    const store = await bare({ idleTimeoutMs: IDLE_MS });
    await store.put('frozen', Buffer.from('before'));
    rgw.server.process('osd').freeze();
    try {
      const failures = await Promise.all(
        [store.put('frozen', Buffer.from('now')), store.get('frozen'), anyKey(store, 'frozen')].map(
          failureOf,
        ),
      );
      for (const error of failures) expect(error).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    } finally {
      rgw.server.process('osd').thaw();
    }
    const again = await composed();
    await again.put('frozen', Buffer.from('after'));
    expect(Buffer.from((await again.get('frozen')).bytes).toString()).toBe('after');
  });

  test('lets a caller give up in the midst of a request', async () => {
    const store = await bare();
    await store.put('given-up', randomBytes(100));
    rgw.server.process('gateway').freeze();
    try {
      const signal = AbortSignal.timeout(200);
      const works = [
        store.get('given-up', undefined, signal),
        store.put('given-up', randomBytes(8 * 1024 * 1024), signal),
        anyKey(store, '', signal),
      ];
      for (const error of await Promise.all(works.map(failureOf))) expect(error.code).toBe('CANCELLED');
    } finally {
      rgw.server.process('gateway').thaw();
    }
    expect((await store.get('given-up')).totalBytes).toBe(100);
  });

  test("goes on when its server comes back; when it does not, the last error is the caller's", async () => {
    const patient = await composed();
    const hasty = await composed({ totalMs: 500 });
    const body = randomBytes(1024 * 1024);
    await patient.put('restart/0', body); // a connection is open, and will be found closed
    await hasty.put('restart/1', body);
    await rgw.server.killGateway();
    const works = Promise.all(Array.from({ length: 10 }, (_, i) => patient.put(`restart/${i}`, body)));
    works.catch(() => undefined); // awaited below, when the server is back
    const error = await failureOf(hasty.get('restart/1'));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    expect(error.message).toMatch(/cannot reach 127\.0\.0\.1/);
    await rgw.server.startGateway();
    await works;
    expect(body.equals((await hasty.get('restart/9')).bytes)).toBe(true);
    expect(hasty.stats()).toMatchObject({ inFlight: 0, lastError: { code: 'UNAVAILABLE' } });
  });
});
