import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { AdminApi, LeaseReport, MountReport } from '../../src/coordinator/admin-api.js';
import {
  type AdminReply,
  decodeAdminReply,
  decodeAdminRequest,
  encodeAdminReply,
  encodeAdminRequest,
} from '../../src/coordinator/grpc/admin-messages.js';
import { answerAdminCall } from '../../src/coordinator/grpc/admin-calls.js';
import { AdminClient, GrpcServer } from '../../src/coordinator/grpc/index.js';
import { standbyAdmin } from '../../src/coordinator/standby.js';
import { GfsError, silentLogger } from '../../src/core/index.js';
import type { SiteSpec } from '../../src/sites/index.js';
import { Listener } from './transport-contract.js';
import { readByProtobuf, writeByProtobuf } from './wire-protobuf.js';

const mount = { session: '1', site: 'onprem', mountpoint: '/mnt/é' } as MountReport;
const lease = { ino: 7, path: '/f', holders: [], waiting: [] } as unknown as LeaseReport;
const site: SiteSpec = {
  name: 'onprem',
  role: 'primary',
  status: 'active',
  store: {
    kind: 's3',
    bucket: 'b',
    prefix: '',
    region: 'r',
    pathStyle: true,
    credentials: {
      accessKeyId: { from: 'env', name: 'X' },
      secretAccessKey: { from: 'file', path: '/secret' },
    },
  },
};

/** Answers with what it was asked. */
class ScriptedAdmin implements AdminApi {
  readonly asked: unknown[] = [];
  status = (): Promise<never> => Promise.reject(new GfsError('EBUSY', 'not now', { retryable: true }));
  mounts = (): Promise<MountReport[]> => Promise.resolve([mount]);
  leases = (options: { path?: string; limit: number }): Promise<LeaseReport[]> => {
    this.asked.push(options);
    return Promise.resolve([lease]);
  };
  where = (path: string): Promise<never> => Promise.reject(new GfsError('ENOENT', `no ${path}`));
  registerSite = (spec: SiteSpec): Promise<void> => this.#noted(spec);
  setSiteStatus = (name: string, status: string): Promise<void> => this.#noted([name, status]);
  removeSite = (name: string): Promise<void> => this.#noted(name);

  #noted(what: unknown): Promise<void> {
    this.asked.push(what);
    return Promise.resolve();
  }
}

describe('administration by gRPC', () => {
  const scripted = new ScriptedAdmin();
  let admin: AdminApi;
  let server: GrpcServer;
  let client: AdminClient;
  beforeEach(async () => {
    admin = scripted;
    scripted.asked.length = 0;
    server = await GrpcServer.listen({
      listen: '127.0.0.1:0',
      accept: new Listener().accept,
      admin: () => admin,
      logger: silentLogger,
    });
    client = new AdminClient({ address: server.address });
  });
  afterEach(async () => {
    client.close();
    await server.close();
  });

  test('answers are what the coordinator says', async () => {
    const { api } = client;
    expect(await api.mounts()).toEqual([mount]);
    expect(await api.leases({ path: '/f', limit: 5 })).toEqual([lease]);
    expect(await api.registerSite(site)).toBeUndefined();
    await api.setSiteStatus('onprem', 'draining');
    await api.removeSite('onprem');
    expect(scripted.asked).toEqual([{ path: '/f', limit: 5 }, site, ['onprem', 'draining'], 'onprem']);
  });

  test('errors are what the coordinator says', async () => {
    await expect(client.api.where('/x')).rejects.toMatchObject({
      code: 'ENOENT',
      message: 'no /x',
      retryable: false,
      context: {},
    });
    await expect(client.api.status()).rejects.toMatchObject({ code: 'EBUSY', retryable: true });
  });

  test('a standby says where the leader is; once it leads itself, it answers', async () => {
    admin = standbyAdmin(() => 'leader:7400');
    await expect(client.api.mounts()).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      context: { leader: 'leader:7400' },
    });
    admin = scripted;
    expect(await client.api.mounts()).toEqual([mount]);
  });

  test('a coordinator that is not there is UNAVAILABLE, with its address; when it is back, it answers', async () => {
    const { address } = server;
    await client.api.mounts();
    await server.close();
    await expect(client.api.mounts()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(client.api.mounts()).rejects.toThrow(address);
    server = await GrpcServer.listen({
      listen: address,
      accept: new Listener().accept,
      admin: () => admin,
      logger: silentLogger,
    });
    const again = new AdminClient({ address });
    expect(await again.api.mounts()).toEqual([mount]);
    again.close();
  });

  test('a call that takes too long is given up: TIMEOUT', async () => {
    admin = { ...standbyAdmin(() => undefined), mounts: () => new Promise(() => undefined) };
    const hasty = new AdminClient({ address: server.address, withinMs: 200 });
    await expect(hasty.api.mounts()).rejects.toMatchObject({ code: 'TIMEOUT' });
    hasty.close();
  });

  test.each([
    ['a site of no role', 'registerSite', [{ ...site, role: 'chief' }]],
    ['a site with what is not known', 'registerSite', [{ ...site, colour: 'red' }]],
    ['no argument', 'where', []],
    ['a limit below one', 'leases', [{ limit: 0 }]],
    ['no list', 'where', '/'],
  ])('%s is refused: EINVAL', async (_what, method, args) => {
    const request = encodeAdminRequest({ method, json: JSON.stringify(args) });
    const reply = decodeAdminReply(await answerAdminCall(scripted, request));
    expect(reply).toMatchObject({ kind: 'failure', code: 'EINVAL' });
    expect(scripted.asked).toEqual([]);
  });

  test.each(['toString', 'constructor', 'nonsense'])('%s is no call', async (method) => {
    const reply = decodeAdminReply(
      await answerAdminCall(scripted, encodeAdminRequest({ method, json: '[]' })),
    );
    expect(reply).toMatchObject({ kind: 'failure', code: 'ENOSYS' });
  });

  test('a request that is no message, or whose arguments are no JSON, is answered too', async () => {
    const rubbish = decodeAdminReply(await answerAdminCall(scripted, Uint8Array.of(0x0a, 0xff)));
    expect(rubbish).toMatchObject({ kind: 'failure', code: 'CORRUPT' });
    const request = encodeAdminRequest({ method: 'where', json: '[' });
    const reply = decodeAdminReply(await answerAdminCall(scripted, request));
    expect(reply).toMatchObject({ kind: 'failure', code: 'EINVAL' });
  });

  test('calls and answers are what globalfs.proto says', () => {
    const request = { method: 'where', json: '["/é"]' };
    const replies: AdminReply[] = [
      { kind: 'answer', json: '[]' },
      { kind: 'failure', code: 'ENOENT', message: 'no', retryable: false },
      { kind: 'failure', code: 'UNAVAILABLE', message: 'no', retryable: true, leader: 'b:7400' },
    ];
    expect(readByProtobuf('AdminRequest', encodeAdminRequest(request))).toEqual(request);
    expect(decodeAdminRequest(writeByProtobuf('AdminRequest', request))).toEqual(request);
    for (const reply of replies) {
      expect(readByProtobuf('AdminReply', encodeAdminReply(reply))).toEqual(reply);
      expect(decodeAdminReply(writeByProtobuf('AdminReply', reply))).toEqual(reply);
    }
  });
});
