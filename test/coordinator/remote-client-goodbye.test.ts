import { afterEach, describe, expect, test } from '@jest/globals';
import { Coordinator } from '../../src/coordinator/coordinator.js';
import { GrpcDialer, GrpcServer } from '../../src/coordinator/grpc/index.js';
import { RemoteClient } from '../../src/coordinator/remote-client.js';
import { type LogFields, silentLogger, systemClock } from '../../src/core/index.js';
import { MemoryStore } from '../../src/namespace/index.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { connected, unconnected } from './scripted-coordinator.js';
import { SITE, isOpen } from './scripted-mount.js';
import { SimpleHost } from './simple-host.js';
import { turns } from './stepped-clock.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Half a round trip: longer than what a process does in a turn of its event loop. */
const DELAY_MS = 100;

async function overGrpc() {
  const coordinator = await Coordinator.open({ kv: new MemoryStore() });
  closing.push(() => coordinator.abandon());
  await coordinator.admin.registerSite(SITE);
  const server = await GrpcServer.listen({
    listen: '127.0.0.1:0',
    accept: (stream) => coordinator.accept(stream),
    admin: () => coordinator.admin,
    logger: silentLogger,
  });
  closing.push(() => server.close());
  const proxy = await TcpProxy.start({ port: Number(server.address.split(':')[1]), delayMs: DELAY_MS });
  closing.push(() => proxy.close());
  const client = new RemoteClient({
    dialer: new GrpcDialer({ logger: silentLogger }),
    addresses: [`127.0.0.1:${proxy.port}`],
    facts: { software: 'test', site: SITE.name, member: 'node1', mountpoint: '/globalfs', pid: 1 },
    clock: systemClock,
    logger: silentLogger,
    unreachable: { kind: 'wait' },
  });
  client.serve(new SimpleHost());
  return { coordinator, client };
}

describe('a mount that stops', () => {
  test('has stopped when the coordinator knows, by gRPC over a slow network', async () => {
    const { coordinator, client } = await overGrpc();
    await client.start();
    expect(await coordinator.admin.mounts()).toHaveLength(1);
    await client.stop();
    expect(await coordinator.admin.mounts()).toEqual([]);
  });

  test('waits until its goodbye is taken', async () => {
    const { client, coordinator, link } = await connected();
    link.stall('up');
    const stopping = client.stop();
    expect(await isOpen(stopping)).toBe(true);
    link.resume();
    await stopping;
    expect(coordinator.taken().map(({ kind }) => kind)).toEqual(['goodbye']);
  });

  test('does not wait for a coordinator that does not answer, and says so', async () => {
    const warnings: string[] = [];
    const logger = {
      ...silentLogger,
      warn: (message: string, _fields?: LogFields) => warnings.push(message),
    };
    const { client, link, clock } = await connected({ logger });
    link.stall();
    const stopping = client.stop();
    await turns();
    await clock.advance(1900);
    expect(await isOpen(stopping)).toBe(true);
    await clock.advance(200);
    await stopping;
    expect(warnings).toEqual([expect.stringMatching(/^the coordinator did not hear/)]);
  });

  test('has nobody to wait for while it is not connected; its start is over', async () => {
    const { client, link } = unconnected();
    link.unreachable = true;
    const refused = expect(client.start()).rejects.toMatchObject({ code: 'CANCELLED' });
    await turns();
    await client.stop();
    await refused;
  });
});
