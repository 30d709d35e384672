import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { GfsError } from '../../src/core/index.js';
import { run } from '../support/run.js';
import { EtcdRig, until } from './etcd-rig.js';

const QUOTA_BYTES = 4 * 1024 * 1024;

test('a leader gives up old history, so that etcd does not fill up with it', async () => {
  const rig = await EtcdRig.start();
  try {
    const cluster = randomUUID();
    const { store, client } = await rig.reign(rig.candidate({ cluster }), cluster, { compactMs: 100 });
    await store.commit([{ key: 'k', value: Buffer.from('1') }]);
    const first = { start: 'a', end: 'b', limit: 1, revision: 1n };
    await until(async () => {
      const error = await client.range(first).catch((thrown: GfsError) => thrown);
      return 'code' in error && error.code === 'ESTALE';
    });
    await store.commit([{ key: 'k', value: Buffer.from('2') }]);
    await store.close();
  } finally {
    await rig.stop();
  }
});

describe('etcd whose database has reached its quota', () => {
  let rig: EtcdRig;
  beforeAll(async () => {
    rig = await EtcdRig.start({ flags: [`--quota-backend-bytes=${QUOTA_BYTES}`] });
  });
  afterAll(() => rig.stop());

  const etcdctl = async (...args: string[]): Promise<string> => {
    const env = { ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: rig.server.endpoints.join(',') };
    return (await run('etcdctl', args, { env })).stdout;
  };

  test('the store has no room, and commits wait until an administrator has made some', async () => {
    const cluster = randomUUID();
    const { store, term, client } = await rig.reign(rig.candidate({ cluster }), cluster);
    const value = Buffer.alloc(64 * 1024, 'x');
    expect(store.hasRoom()).toBe(true);
    // One key, again and again: it is history that fills the database.
    const write = async (): Promise<void> => {
      for (let index = 0; index < 100; index++) await store.commit([{ key: 'k', value }]);
    };
    const written = write();
    await until(() => !store.hasRoom());
    expect(term.held()).toBe(true);
    const { revision } = await client.get(term.fence.key);
    await etcdctl('compact', String(revision), '--physical');
    await etcdctl('defrag');
    await etcdctl('alarm', 'disarm');
    await written;
    expect(store.hasRoom()).toBe(true);
    await store.close();
    await term.resign();
  });
});
