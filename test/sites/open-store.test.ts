import { describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger, systemClock } from '../../src/core/index.js';
import { openStore, type SiteStore } from '../../src/sites/index.js';
import { awsBucketUrl, defaultCredentials } from '../../src/sites/s3/sdk-client.js';
import { objectStoreContract } from './object-store-contract.js';

function openDirectory(path: string): Promise<SiteStore> {
  const store = { kind: 'directory', path } as const;
  const site = { name: 'disk', role: 'primary', status: 'active', store } as const;
  return openStore(site, { clock: systemClock, logger: silentLogger });
}

objectStoreContract("a directory site's store", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'globalfs-site-'));
  const store = await openDirectory(join(folder, 'store'));
  const end = async (): Promise<void> => {
    store.close();
    await rm(folder, { recursive: true });
  };
  return { store, end };
});

describe("a site's store", () => {
  test('on a directory never makes one file of an object and a file of this node', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'globalfs-site-'));
    const store = await openDirectory(folder);
    expect('adopt' in store || 'unshare' in store).toBe(false);
    store.close();
    await rm(folder, { recursive: true });
  });

  test('counts what passes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'globalfs-site-'));
    const store = await openDirectory(folder);
    await store.put('a', Buffer.from('body'));
    await store.get('a');
    expect(store.stats().operations).toMatchObject({
      put: { calls: 1, bytes: 4 },
      get: { calls: 1, bytes: 4 },
    });
    store.close();
    await rm(folder, { recursive: true });
  });

  test("without an endpoint is AWS's, by a host for the bucket where its name allows one", async () => {
    const at = async (bucket: string, pathStyle = false, region = 'eu-central-1'): Promise<string> =>
      (await awsBucketUrl({ bucket, region, pathStyle })).href;
    expect(await at('data')).toBe('https://data.s3.eu-central-1.amazonaws.com/');
    expect(await at('da.ta')).toBe('https://s3.eu-central-1.amazonaws.com/da.ta');
    expect(await at('data', true)).toBe('https://s3.eu-central-1.amazonaws.com/data');
    expect(await at('data', false, 'cn-north-1')).toBe('https://data.s3.cn-north-1.amazonaws.com.cn/');
  });

  test("without credentials takes those that AWS's tools take", async () => {
    const before = { ...process.env };
    process.env.AWS_ACCESS_KEY_ID = 'from-environment';
    process.env.AWS_SECRET_ACCESS_KEY = 'secret';
    process.env.AWS_SESSION_TOKEN = 'token';
    try {
      const found = await defaultCredentials('us-east-1')();
      expect(found).toMatchObject({ accessKeyId: 'from-environment', sessionToken: 'token' });
    } finally {
      process.env = before;
    }
  });
});
