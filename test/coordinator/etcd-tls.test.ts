import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EtcdClient, type EtcdTls } from '../../src/coordinator/etcd/etcd-client.js';
import { MemoryStore } from '../../src/namespace/index.js';
import { type CertificateFiles, makeCertificate } from '../support/certificates.js';
import { EtcdRig, until } from './etcd-rig.js';

describe('etcd with client certificates', () => {
  const directories: string[] = [];
  const certificate = async (): Promise<CertificateFiles> => {
    const directory = mkdtempSync(join(tmpdir(), 'globalfs-etcd-tls-'));
    directories.push(directory);
    return await makeCertificate(directory);
  };
  const identity = ({ caFile, certFile, keyFile }: CertificateFiles): EtcdTls => ({
    ca: readFileSync(caFile),
    cert: readFileSync(certFile),
    key: readFileSync(keyFile),
  });
  let rig: EtcdRig;
  let tls: EtcdTls;
  beforeAll(async () => {
    const files = await certificate();
    tls = identity(files);
    rig = await EtcdRig.start({ tls: files });
  });
  afterAll(async () => {
    await rig.stop();
    for (const directory of directories) rmSync(directory, { recursive: true });
  });

  test('a restart of etcd ends neither the term, nor the store, nor the watch', async () => {
    const cluster = randomUUID();
    const leader = await rig.reign(rig.candidate({ cluster, tls }), cluster);
    const copy = new MemoryStore();
    const { mirror } = rig.candidate({ cluster, tls, store: copy });
    await leader.store.commit([{ key: 'a', value: Buffer.from('1') }]);
    await until(() => copy.get('a') !== undefined);
    const [member] = rig.server.members;
    await member?.kill();
    const during = leader.store.commit([{ key: 'b', value: Buffer.from('1') }]);
    await until(() => mirror.status().state === 'cut off');
    await member?.start();
    await during;
    await until(() => copy.get('b') !== undefined);
    expect(leader.term.held()).toBe(true);
    await leader.store.close();
    await leader.term.resign();
  });

  test('whoever has no certificate of its authority is not served', async () => {
    const stranger = { ...identity(await certificate()), ca: tls.ca };
    const client = rig.client({ tls: stranger });
    await expect(client.get('k')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('an endpoint that is no match for the identity is a mistake in the configuration', () => {
    const open = (endpoint: string, identity?: EtcdTls): EtcdClient =>
      new EtcdClient({ endpoints: [endpoint], ...(identity && { tls: identity }) });
    const mistake = expect.objectContaining({ code: 'CONFIG' });
    expect(() => open('http://127.0.0.1:2379', tls)).toThrow(mistake);
    expect(() => open('https://127.0.0.1:2379')).toThrow(mistake);
    expect(() => new EtcdClient({ endpoints: [] })).toThrow(mistake);
  });
});
