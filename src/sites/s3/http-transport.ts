import * as http from 'node:http';
import * as https from 'node:https';
import { GfsError } from '../../core/index.js';

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
  /** With its query. */
  readonly path: string;
  /** Complete but for the body's length: `host` is among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface HttpTransportOptions {
  readonly endpoint: URL;
  /** Connections at the most; further requests wait for one. */
  readonly connectionsMax: number;
  /** A request ends with UNAVAILABLE when for so long no byte went either way. */
  readonly idleTimeoutMs: number;
  /** PEM of the authorities to trust; absent: Node's own. */
  readonly authorities?: readonly string[];
}

/**
 * Servers close idle connections, and learn of each other's end at the same moment as the request is sent:
 * such a request was not looked at and is sent again, by as many old connections as are tried in a row.
 */
const STALE_CONNECTIONS_MAX = 8;

/** Above this, whoever answers is no object store: our largest objects are manifests of some 100 MiB. */
const RESPONSE_BYTES_MAX = 2 ** 31;

/**
 * Requests to one host over kept-alive connections, by Node's own client: bodies are whole buffers, so no
 * streams are piped, and a small request costs about 100 µs of CPU.
 */
export class HttpTransport {
  readonly agent: http.Agent;
  readonly #options: HttpTransportOptions;
  readonly #request: typeof http.request;
  readonly #host: string;
  readonly #port: number;

  constructor(options: HttpTransportOptions) {
    this.#options = options;
    const secure = options.endpoint.protocol === 'https:';
    const agentOptions: https.AgentOptions = {
      keepAlive: true,
      noDelay: true,
      maxSockets: options.connectionsMax,
      maxFreeSockets: options.connectionsMax,
      timeout: options.idleTimeoutMs,
      ...(options.authorities && { ca: [...options.authorities] }),
    };
    this.agent = secure ? new https.Agent(agentOptions) : new http.Agent(agentOptions);
    this.#request = secure ? https.request : http.request;
    this.#host = options.endpoint.hostname.replace(/^\[|\]$/g, '');
    this.#port = Number(options.endpoint.port) || (secure ? 443 : 80);
  }

  /** @throws GfsError UNAVAILABLE, CANCELLED; CONFIG when the server's certificate is not trusted */
  async send(request: HttpRequest): Promise<HttpResponse> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#sendOnce(request);
      } catch (thrown) {
        if (!(thrown instanceof StaleConnection)) throw thrown;
        if (attempt === STALE_CONNECTIONS_MAX) throw connectionError(thrown.cause, this.#options.endpoint);
      }
    }
  }

  /** Ends idle connections now, and those in use with their requests. */
  close(): void {
    this.agent.destroy();
  }

  #sendOnce({ method, path, headers, body, signal }: HttpRequest): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(cancelled(signal));
        return;
      }
      const length: Record<string, string> =
        body === undefined ? {} : { 'content-length': String(body.length) };
      const sent = this.#request({
        agent: this.agent,
        host: this.#host,
        port: this.#port,
        method,
        path,
        headers: { ...headers, ...length },
        setHost: false,
        timeout: this.#options.idleTimeoutMs,
      });
      const onAbort = (): void => fail(cancelled(signal));
      const settle = (): void => signal?.removeEventListener('abort', onAbort);
      const fail = (error: Error): void => {
        settle();
        reject(error);
        sent.destroy();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      let answered = false;
      sent.once('timeout', () => fail(this.#timedOut()));
      sent.on('error', (error: NodeJS.ErrnoException) => {
        const stale =
          sent.reusedSocket && !answered && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        fail(stale ? new StaleConnection(error) : connectionError(error, this.#options.endpoint));
      });
      sent.once('response', (response) => {
        answered = true;
        collect(response, method === 'HEAD', (error, bytes) => {
          if (error !== undefined) return fail(connectionError(error, this.#options.endpoint));
          settle();
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes });
        });
      });
      sent.end(body);
    });
  }

  #timedOut(): GfsError {
    const { endpoint, idleTimeoutMs } = this.#options;
    return new GfsError('UNAVAILABLE', `${endpoint.host} gave no sign of life for ${idleTimeoutMs} ms`);
  }
}

/** The connection was closed before the server can have seen the request. */
class StaleConnection extends Error {
  constructor(cause: Error) {
    super('stale connection', { cause });
  }
}

const NOTHING = Buffer.alloc(0);

/** The body in one buffer: of its announced length, so that it is copied once. */
function collect(
  response: http.IncomingMessage,
  bodyless: boolean,
  done: (error: Error | undefined, bytes: Buffer) => void,
): void {
  const announced = bodyless ? 0 : Number(response.headers['content-length'] ?? NaN);
  response.once('error', (error) => done(error, NOTHING));
  if (announced > RESPONSE_BYTES_MAX) {
    response.destroy(new Error(`the response announces ${announced} bytes`));
  } else if (Number.isInteger(announced)) {
    const bytes = announced === 0 ? NOTHING : Buffer.allocUnsafeSlow(announced);
    let filled = 0;
    // Node's parser ends the body at its announced length, and reports an earlier end as an error.
    response.on('data', (part: Buffer) => (filled += part.copy(bytes, filled)));
    response.once('end', () => done(undefined, bytes));
  } else {
    const parts: Buffer[] = [];
    let total = 0;
    response.on('data', (part: Buffer) => {
      total += part.length;
      if (total > RESPONSE_BYTES_MAX) response.destroy(new Error('the response does not end'));
      else parts.push(part);
    });
    response.once('end', () => done(undefined, Buffer.concat(parts, total)));
  }
}

const cancelled = (signal: AbortSignal | undefined): GfsError =>
  new GfsError('CANCELLED', 'the caller gave up', { cause: signal?.reason });

/** Node's and OpenSSL's codes for a certificate that does not hold: nobody gains by trying again. */
const CERTIFICATE =
  /^(?:ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(?:GET|VERIFY|DECRYPT)_|INVALID_CA|HOSTNAME_MISMATCH)/;

/** Translates what Node reports of a connection (also through the SDK, which passes it on). */
export function connectionError(thrown: unknown, endpoint: URL): GfsError {
  const { code = '', message } = thrown as NodeJS.ErrnoException;
  if (CERTIFICATE.test(code)) {
    const what = `the certificate of ${endpoint.host} is not trusted (${code}: ${message})`;
    return new GfsError('CONFIG', `${what}; set caFile to its authority, and check the host name and date`, {
      cause: thrown,
    });
  }
  if (code === 'EPROTO') {
    const what = `${endpoint.host} does not speak TLS as asked`;
    return new GfsError('CONFIG', `${what}; check whether the endpoint is https or http`, { cause: thrown });
  }
  const how = code === '' || message.includes(code) ? message : `${code}: ${message}`;
  return new GfsError('UNAVAILABLE', `cannot reach ${endpoint.host} (${how})`, { cause: thrown });
}
