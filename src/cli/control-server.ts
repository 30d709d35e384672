import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { GfsError, toGfsError } from '../core/errors.js';
import { errorFields, type Logger } from '../core/logger.js';
import { controlSocketPath } from './control-socket.js';
import type { MountControl } from './mount-service.js';

/** A request is a few flags and one path of at most 4,096 bytes, each up to 6 bytes in JSON. */
const BODY_BYTES_MAX = 64 * 1024;

export interface ControlServer {
  /** Breaks off what is being answered, and removes the socket. */
  close(): Promise<void>;
}

type Handler = (mount: MountControl, body: Record<string, unknown>) => Promise<unknown>;

function field<T extends 'boolean' | 'number' | 'string'>(
  body: Record<string, unknown>,
  name: string,
  type: T,
) {
  const value = body[name];
  if (typeof value !== type) throw new GfsError('EINVAL', `'${name}' must be a ${type}`);
  return value as T extends 'boolean' ? boolean : T extends 'number' ? number : string;
}

/** One path for each call of MountControl; arguments and answers are JSON. */
const HANDLERS: Readonly<Record<string, Handler>> = {
  '/v1/status': (mount) => mount.status(),
  '/v1/info': (mount, body) => mount.info(field(body, 'path', 'string')),
  '/v1/fsck': (mount, body) => mount.fsck({ repair: field(body, 'repair', 'boolean') }),
  '/v1/gc': (mount, body) =>
    mount.gc({ delete: field(body, 'delete', 'boolean'), graceMs: field(body, 'graceMs', 'number') }),
};

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new GfsError('E2BIG', 'the request is too long');
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  try {
    const body: unknown = JSON.parse(text === '' ? '{}' : text);
    if (typeof body === 'object' && body !== null) return body as Record<string, unknown>;
  } catch (thrown) {
    throw new GfsError('EINVAL', 'the request is no JSON', { cause: thrown });
  }
  throw new GfsError('EINVAL', 'the request is no JSON object');
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

async function answer(
  mount: MountControl,
  request: IncomingMessage,
  response: ServerResponse,
  logger: Logger,
): Promise<void> {
  const url = request.url ?? '';
  try {
    const handler = HANDLERS[url];
    if (handler === undefined) throw new GfsError('ENOSYS', `this version does not know ${url}`);
    if (request.method !== 'POST') throw new GfsError('EINVAL', 'use POST');
    reply(response, 200, await handler(mount, await readBody(request)));
  } catch (thrown) {
    const error = toGfsError(thrown);
    logger.debug('control request failed', { url, ...errorFields(error) });
    reply(response, error.code === 'INTERNAL' ? 500 : 400, {
      error: { code: error.code, message: error.message },
    });
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // bind(2) happens inside `listen`: the socket is never there with other permissions, not even briefly.
    const umask = process.umask(0o177);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
    process.umask(umask);
  });
}

/**
 * Answers HTTP with JSON on `<stateDir>/control.sock`, which only the owner may open.
 * The caller owns the state directory: a socket that is there already is a leftover.
 */
export async function serveControl(
  stateDir: string,
  mount: MountControl,
  logger: Logger,
): Promise<ControlServer> {
  const socket = controlSocketPath(stateDir);
  const server = createServer((request, response) => {
    answer(mount, request, response, logger).catch((thrown: unknown) => {
      logger.warn('control answer was not sent', errorFields(thrown));
      response.destroy();
    });
  });
  try {
    rmSync(socket.path, { force: true });
    await listen(server, socket.path);
    chmodSync(socket.path, 0o600);
  } catch (thrown) {
    socket.release();
    throw toGfsError(thrown);
  }
  server.on('error', (error) => logger.error('control socket failed', errorFields(error)));
  return {
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      rmSync(socket.path, { force: true });
      socket.release();
    },
  };
}
