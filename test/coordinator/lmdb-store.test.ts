import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { LmdbStore } from '../../src/coordinator/lmdb-store.js';
import { kvContract } from '../namespace/kv-contract.js';

kvContract('LmdbStore', () => {
  const path = mkdtempSync(join(tmpdir(), 'globalfs-lmdb-'));
  let store = LmdbStore.open({ path, groupMs: 5 });
  return Promise.resolve({
    store,
    reopen: async () => {
      await store.close();
      store = LmdbStore.open({ path, groupMs: 5 });
      return store;
    },
    dispose: async () => {
      await store.close();
      rmSync(path, { recursive: true });
    },
  });
});

describe('LmdbStore', () => {
  test('a store is open once at a time', async () => {
    const path = mkdtempSync(join(tmpdir(), 'globalfs-lmdb-'));
    const store = LmdbStore.open({ path });
    expect(() => LmdbStore.open({ path })).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    await store.close();
    await LmdbStore.open({ path }).close();
    rmSync(path, { recursive: true });
  });

  test('all who sync at once wait for one transaction', async () => {
    const path = mkdtempSync(join(tmpdir(), 'globalfs-lmdb-'));
    const store = LmdbStore.open({ path, groupMs: 10_000 });
    void store.commit([{ key: 'first', value: Buffer.from('1') }]);
    const first = store.sync();
    const later = Array.from({ length: 50 }, (_, i) => {
      void store.commit([{ key: `k${i}`, value: Buffer.from('x') }]);
      return store.sync();
    });
    expect(new Set(later).size).toBe(1);
    expect(later[0]).not.toBe(first);
    await Promise.all([first, ...later]);
    await store.close();
    rmSync(path, { recursive: true });
  });
});
