import { afterEach, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import * as http from 'node:http';
import * as net from 'node:net';
import type { AddressInfo } from 'node:net';
import { HttpTransport, type HttpTransportOptions } from '../../src/sites/s3/http-transport.js';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function serve(server: net.Server, more: Partial<HttpTransportOptions> = {}): Promise<HttpTransport> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const transport = new HttpTransport({ endpoint, idleMax: 4, idleTimeoutMs: 5000, ...more });
  ends.push(() => {
    transport.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return transport;
}

const get = { method: 'GET', path: '/x', headers: { host: 'h' } } as const;

async function bodyOf(request: http.IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

describe('the HTTP transport', () => {
  test('sends bodies and receives them whole, many at once, over few connections', async () => {
    let connections = 0;
    const server = http.createServer((request, response) => {
      void bodyOf(request).then((body) => {
        response.setHeader('x-path', request.url ?? '');
        // Every other answer in chunks of the server's choice, as S3 sends its errors.
        if (body.length % 2 === 0) response.setHeader('content-length', body.length);
        response.end(body);
      });
    });
    server.on('connection', () => connections++);
    const transport = await serve(server);
    const sizes = [0, 1, 4096, 16_000, 70_001, 1_000_000, 4_194_304];
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        sizes.map(async (size) => {
          const body = randomBytes(size);
          const response = await transport.send({ ...get, method: 'PUT', path: `/${size}`, body });
          expect(response.headers['x-path']).toBe(`/${size}`);
          expect(body.equals(response.body)).toBe(true);
        }),
      );
    }
    expect(connections).toBeLessThanOrEqual(7 + 4 * 3); // 4 stay idle: each further round needs 3 more
  });

  test('sends the headers it is given, and no other line', async () => {
    const server = http.createServer((request, response) => response.end(JSON.stringify(request.headers)));
    const transport = await serve(server);
    const response = await transport.send({ ...get, headers: { host: 'bucket.example.org', 'x-a': 'b' } });
    expect(JSON.parse(response.body.toString())).toEqual({ host: 'bucket.example.org', 'x-a': 'b' });
    const split = { ...get, headers: { host: 'h', 'x-a': 'b\r\nx-c: d' } };
    await expect(transport.send(split)).rejects.toMatchObject({ code: 'EINVAL' });
  });

  test('sends a request again whose idle connection the server had closed', async () => {
    let served = 0;
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined); // the other side may be gone first
      socket.once('data', () => {
        served++;
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
        // The next request on this connection meets a reset.
        socket.once('data', () => socket.resetAndDestroy());
      });
    });
    const transport = await serve(server);
    for (let i = 0; i < 4; i++) expect((await transport.send(get)).body.toString()).toBe('ok');
    expect(served).toBe(4);
  });

  test('takes an answer that comes before the body is sent, and leaves that connection', async () => {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined); // it is closed in the midst of our reading
      socket.once('data', () => {
        socket.pause();
        socket.write('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
      });
    });
    const transport = await serve(server);
    const body = Buffer.alloc(64 * 1024 * 1024);
    for (let i = 0; i < 2; i++) {
      expect(await transport.send({ ...get, method: 'PUT', body })).toMatchObject({ status: 403 });
    }
  });

  test('gives up on a server that says nothing, in the head or in the body', async () => {
    for (const said of ['', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab']) {
      const server = net.createServer((socket) => void socket.once('data', () => socket.write(said)));
      const transport = await serve(server, { idleTimeoutMs: 200 });
      await expect(transport.send(get)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        retryable: true,
        message: expect.stringMatching(/^127\.0\.0\.1:\d+ gave no sign of life for 200 ms$/),
      });
    }
  });

  test('tells an answer that broke off, and one that is no HTTP, from one that is short', async () => {
    for (const [said, told] of [
      ['HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab', /ended in the midst of a response/],
      ['SSH-2.0-OpenSSH_9.2\r\n\r\n', /no HTTP response.*check the endpoint/],
      ['', /cannot reach/],
    ] as const) {
      const server = net.createServer((socket) => void socket.once('data', () => socket.end(said)));
      const transport = await serve(server);
      await expect(transport.send(get)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringMatching(told),
      });
    }
  });

  test('lets the caller give up, while it waits for the head or is in the body', async () => {
    for (const said of ['', 'HTTP/1.1 200 OK\r\ncontent-length: 50000\r\n\r\nab']) {
      const giveUp = new AbortController();
      const server = net.createServer((socket) => {
        socket.on('error', () => undefined); // the caller's end
        socket.once('data', () => socket.write(said, () => giveUp.abort()));
      });
      const transport = await serve(server);
      await expect(transport.send({ ...get, signal: giveUp.signal })).rejects.toMatchObject({
        code: 'CANCELLED',
      });
    }
  });

  test('takes one signal for many requests: it ends them all, and Node warns of nothing', async () => {
    const giveUp = new AbortController();
    const warnings: Error[] = [];
    const note = (warning: Error): unknown => warnings.push(warning);
    process.on('warning', note);
    const server = http.createServer((request, response) => {
      if (request.url === '/fast') response.end('x');
    });
    const transport = await serve(server);
    const { signal } = giveUp;
    const all = (path: string): Promise<unknown>[] =>
      Array.from({ length: 30 }, () => transport.send({ ...get, path, signal }));
    await Promise.all(all('/fast'));
    const ends = Promise.allSettled(all('/slow'));
    await once(server, 'request');
    giveUp.abort();
    for (const end of await ends) expect(end).toMatchObject({ reason: { code: 'CANCELLED' } });
    await new Promise(setImmediate); // warnings come in the next turn
    process.off('warning', note);
    expect(warnings).toEqual([]);
  });

  test('closes: idle connections end, and requests that run fail', async () => {
    const server = http.createServer((request, response) => {
      if (request.url === '/fast') response.end('x');
    });
    const transport = await serve(server);
    await transport.send({ ...get, path: '/fast' });
    const slow = transport.send({ ...get, path: '/slow' });
    await once(server, 'request');
    transport.close();
    await expect(slow).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
