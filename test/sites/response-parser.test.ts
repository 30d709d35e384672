import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type HttpResponse, ProtocolError, ResponseParser } from '../../src/sites/s3/response-parser.js';

/** Feeds the bytes as reads of these sizes would, and then the connection's end. */
function parse(parser: ResponseParser, bytes: Buffer, sizes: readonly number[]): HttpResponse {
  let at = 0;
  for (let read = 0; at < bytes.length; read++) {
    const target = parser.target();
    expect(target.length).toBeGreaterThan(0);
    const wanted = sizes[read % sizes.length] ?? bytes.length;
    const count = Math.min(wanted, target.length, bytes.length - at);
    bytes.copy(target, 0, at, at + count);
    at += count;
    const response = parser.filled(count);
    if (response !== undefined) return response;
  }
  return parser.ended();
}

function parsed(text: string | Buffer, { bodyless = false, sizes = [1e9] } = {}): HttpResponse {
  const parser = new ResponseParser();
  parser.begin(bodyless);
  return parse(parser, Buffer.from(text as string, 'latin1'), sizes);
}

type Framing = 'length' | 'chunked' | 'close';

/** The same body, as servers may send it. */
function framed(body: Buffer, framing: Framing, chunkBytes: number): Buffer {
  const head = 'HTTP/1.1 200 OK\r\nX-Amz-Thing: a: b \r\n';
  switch (framing) {
    case 'length':
      return Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body]);
    case 'close':
      return Buffer.concat([Buffer.from(`${head}Connection: close\r\n\r\n`), body]);
    case 'chunked': {
      const parts: Buffer[] = [Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n`)];
      for (let at = 0; at < body.length; at += chunkBytes) {
        const chunk = body.subarray(at, at + chunkBytes);
        parts.push(Buffer.from(`${chunk.length.toString(16)};ext=1\r\n`), chunk, Buffer.from('\r\n'));
      }
      parts.push(Buffer.from('0\r\nTrailer: x\r\n\r\n'));
      return Buffer.concat(parts);
    }
  }
}

describe('the parser of HTTP responses', () => {
  test('gives the same response however it is framed and however the network cuts it', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 40_000 }),
        fc.constantFrom<Framing>('length', 'chunked', 'close'),
        fc.integer({ min: 1, max: 20_000 }),
        fc.array(fc.oneof(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 30_000 })), {
          minLength: 1,
        }),
        (bytes, framing, chunkBytes, sizes) => {
          const body = Buffer.from(bytes);
          const response = parsed(framed(body, framing, chunkBytes), { sizes });
          expect(response.status).toBe(200);
          expect(response.headers['x-amz-thing']).toBe('a: b');
          expect(body.equals(response.body)).toBe(true);
          expect(response.reusable).toBe(framing !== 'close');
        },
      ),
    );
  });

  test('reads the next response of a connection', () => {
    const parser = new ResponseParser();
    for (const [framing, size] of [
      ['length', 20_000],
      ['chunked', 3],
      ['length', 0],
      ['chunked', 0],
      ['length', 16_384],
    ] as const) {
      parser.begin(false);
      expect(parser.untouched).toBe(true);
      const body = Buffer.alloc(size, 7);
      const response = parse(parser, framed(body, framing, 1000), [1e9]);
      expect(body.equals(response.body)).toBe(true);
      expect(response.reusable).toBe(true);
    }
  });

  test('knows the responses that have no body, whatever their head says', () => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-length: 4096\r\n\r\n';
    expect(parsed(head, { bodyless: true })).toMatchObject({ status: 200, reusable: true });
    expect(parsed('HTTP/1.1 204 No Content\r\n\r\n')).toMatchObject({ status: 204, reusable: true });
    const continued = `HTTP/1.1 100 Continue\r\n\r\n${head.replace('4096', '2')}ab`;
    expect(parsed(continued).body.toString()).toBe('ab');
  });

  test('does not use a connection again that says more than was asked, or that is to close', () => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n';
    expect(parsed(`${head}\r\nab`).reusable).toBe(true);
    expect(parsed(`${head}\r\nabHTTP/1.1 200 OK`).reusable).toBe(false);
    expect(parsed(`${head}connection: close\r\n\r\nab`).reusable).toBe(false);
    expect(parsed(`${head.replace('1.1', '1.0')}\r\nab`).reusable).toBe(false);
  });

  test('refuses what is no response, or no end to one', () => {
    for (const text of [
      'SSH-2.0-OpenSSH_9.2\r\n\r\n',
      'HTTP/2 200\r\n\r\n',
      'HTTP/1.1 200 OK\r\nno header\r\n\r\n',
      'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n',
      'HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n',
      'HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n',
      `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
    ]) {
      expect(() => parsed(text)).toThrow(ProtocolError);
    }
    for (const text of ['', 'HTTP/1.1 2', 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab']) {
      expect(() => parsed(text)).toThrow(/ended in the midst/);
    }
  });
});
