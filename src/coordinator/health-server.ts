import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { GfsError, toGfsError } from '../core/index.js';
import { hostAndPort } from './grpc/address.js';

export interface Readiness {
  /** It leads, or could take over at once. */
  readonly ready: boolean;
  /** In a word or two, for people. */
  readonly state: string;
}

/** `/healthz`: the process lives. `/readyz`: it leads, or stands by with a warm copy. For load balancers. */
export class HealthServer {
  readonly #server: Server;

  /** @throws GfsError CONFIG for an address that cannot be listened on */
  static async listen(address: string, readiness: () => Readiness): Promise<HealthServer> {
    const { host, port } = hostAndPort(address);
    const server = createServer((request, response) => answer(request, response, readiness));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => {
        const message = `cannot listen on ${address}: ${toGfsError(error).message}`;
        reject(new GfsError('CONFIG', message, { cause: error }));
      });
      server.listen(port, host, resolve);
    });
    return new HealthServer(server);
  }

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Differs from what was asked for where that was port 0. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

function answer(
  { method, url }: IncomingMessage,
  response: ServerResponse,
  readiness: () => Readiness,
): void {
  const say = (status: number, text: string): void => {
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(method === 'HEAD' ? undefined : `${text}\n`);
  };
  if (method !== 'GET' && method !== 'HEAD') {
    say(405, 'only GET');
  } else if (url === '/healthz') {
    say(200, 'ok');
  } else if (url === '/readyz') {
    const { ready, state } = readiness();
    say(ready ? 200 : 503, state);
  } else {
    say(404, 'there are /healthz and /readyz');
  }
}
