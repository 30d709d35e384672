import { connect, type Socket } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { AdminApi } from '../../src/coordinator/admin-api.js';
import { GrpcDialer, GrpcServer, type TlsMaterial } from '../../src/coordinator/grpc/index.js';
import type { AcceptStream } from '../../src/coordinator/wire/index.js';
import { type LogFields, type Logger, silentLogger } from '../../src/core/index.js';
import { CertificateAuthority, readCertificate } from '../support/certificates.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { dial, Listener, transportContract } from './transport-contract.js';

const LOCAL = '127.0.0.1:0';
/** Nothing listens on port 1 of loopback (tcpmux, RFC 1078). */
const DESERTED = '127.0.0.1:1';
const noAdmin = (): AdminApi => {
  throw new Error('no administration here');
};

const listen = (
  accept: AcceptStream,
  tls?: TlsMaterial,
  logger: Logger = silentLogger,
): Promise<GrpcServer> =>
  GrpcServer.listen({ listen: LOCAL, accept, admin: noAdmin, logger, ...(tls && { tls }) });

const dialer = (tls?: TlsMaterial, connectMs?: number): GrpcDialer =>
  new GrpcDialer({ logger: silentLogger, ...(tls && { tls }), ...(connectMs && { connectMs }) });

/** Two authorities, and whom they know. */
let folder: string;
let server: TlsMaterial;
let node: TlsMaterial;
let otherNode: TlsMaterial;
let expired: TlsMaterial;
/** Of somebody who calls himself as our authority does. */
let forged: TlsMaterial;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'globalfs-grpc-'));
  const ours = await CertificateAuthority.make(join(folder, 'ours'));
  const theirs = await CertificateAuthority.make(join(folder, 'theirs'), 'Another authority');
  server = await readCertificate(await ours.issue('server', { address: '127.0.0.1' }));
  node = await readCertificate(await ours.issue('node1'));
  expired = await readCertificate(await ours.issue('node2', { days: -1 }));
  otherNode = await readCertificate(await theirs.issue('node1'));
  const namesake = await CertificateAuthority.make(join(folder, 'namesake'));
  forged = await readCertificate(await namesake.issue('node1'));
});
afterAll(() => rm(folder, { recursive: true }));

transportContract('gRPC', async (accept) => {
  const grpc = await listen(accept);
  return { dialer: dialer(), address: grpc.address, deserted: DESERTED, close: () => grpc.close() };
});

transportContract('gRPC with mutual TLS', async (accept) => {
  const grpc = await listen(accept, server);
  return { dialer: dialer(node), address: grpc.address, deserted: DESERTED, close: () => grpc.close() };
});

class LinesOfLog implements Logger {
  readonly lines: string[] = [];
  readonly error = (message: string, fields?: LogFields): void => this.#line(message, fields);
  readonly warn = this.error;
  readonly info = (): void => undefined;
  readonly debug = (): void => undefined;

  #line(message: string, fields: LogFields = {}): void {
    this.lines.push(`${message} ${JSON.stringify(fields)}`);
  }
}

describe('gRPC', () => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  async function serve(tls?: TlsMaterial, logger?: Logger) {
    const listener = new Listener();
    const grpc = await listen(listener.accept, tls, logger);
    closing.push(() => grpc.close());
    return { listener, address: grpc.address, grpc };
  }

  test('the peer is an address, and with TLS the name in its certificate', async () => {
    const plain = await serve();
    const secured = await serve(server);
    dial(dialer(), plain.address);
    dial(dialer(node), secured.address);
    expect((await plain.listener.stream(0)).stream.peer).toMatch(/^127\.0\.0\.1:\d+$/);
    expect((await secured.listener.stream(0)).stream.peer).toMatch(/^127\.0\.0\.1:\d+ \(node1\)$/);
  });

  test.each([
    ['no certificate', /this one has none/, () => ({ ca: server.ca })],
    ['a certificate of another authority', /UNABLE_TO_VERIFY/, () => ({ ...otherNode, ca: server.ca })],
    ['an expired certificate', /CERT_HAS_EXPIRED/, () => expired],
  ])('a client with %s is told why it is refused, and the log says who', async (_what, why, tls) => {
    const log = new LinesOfLog();
    const { listener, address } = await serve(server, log);
    const client = dial(dialer(tls() as TlsMaterial), address);
    client.stream.send({ kind: 'goodbye' });
    await client.until(() => client.closed > 0);
    expect(client.error).toMatchObject({ code: 'EACCES', retryable: false });
    expect(client.error?.message).toMatch(/certificate of this coordinator's authority/);
    expect(client.error?.message).toMatch(why);
    expect(client.error?.message).toContain(address);
    expect(listener.accepted).toEqual([]);
    expect(log.lines).toEqual([expect.stringMatching(/^a client was refused .*127\.0\.0\.1:/)]);
    expect(log.lines[0]).toMatch(why);
  });

  test('a forged certificate ends the connection, and the log says why', async () => {
    const log = new LinesOfLog();
    const { listener, address } = await serve(server, log);
    const client = dial(dialer({ ...forged, ca: server.ca }), address);
    await client.until(() => client.closed > 0);
    expect(client.error?.message).toContain(address);
    expect(listener.accepted).toEqual([]);
    expect(log.lines).toEqual([expect.stringMatching(/^a client was refused .*127\.0\.0\.1:.*SIGNATURE/)]);
  });

  test('a coordinator of another authority is not believed', async () => {
    const { listener, address } = await serve(server);
    const client = dial(dialer(otherNode), address);
    await client.until(() => client.closed > 0);
    expect(client.error?.code).toBe('UNAVAILABLE');
    expect(client.error?.message).toMatch(/certificate/);
    expect(listener.accepted).toEqual([]);
  });

  test("a coordinator's certificate must be for its address", async () => {
    const { listener, address } = await serve(node); // of the right authority, but a mount's
    const client = dial(dialer(node), address);
    await client.until(() => client.closed > 0);
    expect(client.error?.code).toBe('UNAVAILABLE');
    expect(client.error?.message).toMatch(/altnames|names|CN/);
    expect(listener.accepted).toEqual([]);
  });

  test.each([
    ['TLS is not spoken to a coordinator without it', undefined, () => node],
    ['a coordinator with TLS does not talk without it', () => server, undefined],
  ])('%s', async (_what, ofServer, ofClient) => {
    const { listener, address } = await serve(ofServer?.());
    const client = dial(dialer(ofClient?.()), address);
    await client.until(() => client.closed > 0);
    expect(client.error?.code).toBe('UNAVAILABLE');
    expect(client.error?.message).toContain(address);
    expect(listener.accepted).toEqual([]);
  });

  test('a refused connection is told in the words of the system', async () => {
    const client = dial(dialer(), DESERTED);
    await client.until(() => client.closed > 0);
    expect(client.error?.message).toBe(`${DESERTED}: connect ECONNREFUSED ${DESERTED}`);
  });

  test('an address that does not answer is given up after the time for it', async () => {
    const { address } = await serve();
    const proxy = await TcpProxy.start({ port: Number(address.split(':')[1]) });
    closing.push(() => proxy.close());
    proxy.stall();
    const silent = `127.0.0.1:${proxy.port}`;
    const client = dial(dialer(undefined, 200), silent);
    await client.until(() => client.closed > 0);
    expect(client.error).toMatchObject({ code: 'UNAVAILABLE' });
    expect(client.error?.message).toBe(`no answer from ${silent} within 200 ms`);
  });

  test('a connection that breaks is told to both', async () => {
    const { listener, address } = await serve();
    const proxy = await TcpProxy.start({ port: Number(address.split(':')[1]) });
    closing.push(() => proxy.close());
    const client = dial(dialer(), `127.0.0.1:${proxy.port}`);
    client.stream.send({ kind: 'goodbye' });
    const stream = await listener.stream(0);
    proxy.cut();
    await Promise.all([client.until(() => client.closed > 0), stream.until(() => stream.closed > 0)]);
    expect(client.error?.code).toBe('UNAVAILABLE');
  });

  test('a coordinator whose process has stopped is noticed', async () => {
    const { listener, address } = await serve();
    const proxy = await TcpProxy.start({ port: Number(address.split(':')[1]) });
    closing.push(() => proxy.close());
    const client = dial(dialer(), `127.0.0.1:${proxy.port}`);
    const stream = await listener.stream(0);
    proxy.stall(); // connections stay, but nothing passes
    await Promise.all([client.until(() => client.closed > 0), stream.until(() => stream.closed > 0)]);
    expect(client.error?.code).toBe('UNAVAILABLE');
  });

  test('an end that never comes about is not waited for', async () => {
    const { listener, address } = await serve();
    const proxy = await TcpProxy.start({ port: Number(address.split(':')[1]) });
    closing.push(() => proxy.close());
    const client = dial(dialer(), `127.0.0.1:${proxy.port}`);
    await listener.stream(0);
    proxy.stall();
    client.stream.close();
    await client.until(() => client.closed > 0);
    expect(client.error?.code).toBe('CANCELLED');
  });

  test('a mount that does not read is disconnected, and the log says so', async () => {
    const log = new LinesOfLog();
    const { listener, address } = await serve(undefined, log);
    const proxy = await TcpProxy.start({ port: Number(address.split(':')[1]) });
    closing.push(() => proxy.close());
    dial(dialer(), `127.0.0.1:${proxy.port}`);
    const stream = await listener.stream(0);
    proxy.stall('down');
    const path = 'x'.repeat(1024 * 1024);
    let sent = 0;
    while (stream.closed === 0 && sent < 200) {
      stream.stream.send({ kind: 'reply', id: ++sent, result: { op: 'path-of', path } });
      await new Promise((resolve) => setImmediate(resolve));
    }
    await stream.until(() => stream.closed > 0);
    expect(sent).toBeGreaterThan(60); // the bound is 64 MiB
    expect(sent).toBeLessThan(100);
    expect(log.lines).toEqual([
      expect.stringMatching(/^a mount that does not read was disconnected .*127\.0\.0\.1/),
    ]);
  });

  test('a peer that talks something else ends only its own connection', async () => {
    const { listener, address } = await serve();
    const stranger = await new Promise<Socket>((resolve) => {
      const socket = connect(Number(address.split(':')[1]), '127.0.0.1', () => resolve(socket));
    });
    const ended = new Promise((resolve) => stranger.on('close', resolve));
    stranger.on('error', () => undefined).resume();
    stranger.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await ended;
    dial(dialer(), address);
    await listener.stream(0);
  });

  test.each([
    ['', () => undefined, () => undefined],
    [' with TLS', () => server, () => node],
  ])(
    'mounts that stay connected do not keep a server%s from closing',
    async (_what, ofServer, ofClient) => {
      const { listener, address, grpc } = await serve(ofServer());
      const clients = [dial(dialer(ofClient()), address), dial(dialer(ofClient()), address)];
      await Promise.all([listener.stream(0), listener.stream(1)]);
      await grpc.close();
      for (const client of clients) {
        await client.until(() => client.closed > 0);
        expect(client.error?.code).toBe('UNAVAILABLE');
      }
    },
    25_000, // after 30 s the server would close a connection that is idle
  );

  test.each([
    ['', () => undefined],
    [' with TLS', () => server],
  ])('a connection on which nothing was said does not keep a server%s from closing', async (_what, tls) => {
    const { address, grpc } = await serve(tls());
    const silent = await new Promise<Socket>((resolve) => {
      const socket = connect(Number(address.split(':')[1]), '127.0.0.1', () => resolve(socket));
    });
    const ended = new Promise((resolve) => silent.on('close', resolve));
    silent.on('error', () => undefined).resume();
    await new Promise((resolve) => setTimeout(resolve, 50)); // until it is accepted
    await grpc.close();
    await ended;
  });

  test('an address that is taken, and one that is none, are errors of the configuration', async () => {
    const { address } = await serve();
    const accept = new Listener().accept;
    const again = GrpcServer.listen({ listen: address, accept, admin: noAdmin, logger: silentLogger });
    await expect(again).rejects.toMatchObject({ code: 'CONFIG' });
    await expect(again).rejects.toThrow(`cannot listen on ${address}`);
    const wrong = GrpcServer.listen({ listen: 'x', accept, admin: noAdmin, logger: silentLogger });
    await expect(wrong).rejects.toMatchObject({ code: 'CONFIG' });
  });
});
