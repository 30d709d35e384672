import { GfsError } from '../../core/index.js';
import { cancelled, throwIfAborted, whenAborted } from '../abort.js';
import { HttpConnection, SilenceError, StaleError } from './http-connection.js';
import { type HttpResponse, ProtocolError } from './response-parser.js';

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
  /** With its query. */
  readonly path: string;
  /** Complete but for the body's length: `host` is among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpTransportOptions {
  readonly endpoint: URL;
  /** Idle connections that are kept. */
  readonly idleMax: number;
  /** A request ends with UNAVAILABLE when for so long no byte went either way. */
  readonly idleTimeoutMs: number;
  /** PEM of the authorities to trust; absent: Node's own. */
  readonly authorities?: readonly string[];
}

/** RFC 9110, 5.5: what a header may hold. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Requests to one host over kept-alive connections: as many connections as there are requests at once,
 * which is the caller's to bound. Bodies are whole buffers. A small request costs a third of the CPU that
 * it does by Node's client, a 4 MiB response a quarter (doc/decisions/0008-own-http-for-s3.md).
 */
export class HttpTransport {
  readonly #options: HttpTransportOptions;
  readonly #secure: boolean;
  readonly #host: string;
  readonly #port: number;
  readonly #all = new Set<HttpConnection>();
  /** Used last, used first: the others reach their idle timeout. */
  readonly #idle: HttpConnection[] = [];
  /** Resumed by new connections: a shorter handshake. */
  #tlsSession: Buffer | undefined;
  #closed = false;

  constructor(options: HttpTransportOptions) {
    this.#options = options;
    this.#secure = options.endpoint.protocol === 'https:';
    this.#host = options.endpoint.hostname.replace(/^\[|\]$/g, '');
    this.#port = Number(options.endpoint.port) || (this.#secure ? 443 : 80);
  }

  /** @throws GfsError UNAVAILABLE, CANCELLED; CONFIG when the server's certificate is not trusted */
  async send(request: HttpRequest): Promise<HttpResponse> {
    const head = headOf(request);
    throwIfAborted(request.signal);
    try {
      return await this.#sendBy(this.#idle.pop() ?? this.#connect(), head, request);
    } catch (thrown) {
      // Servers close idle connections, at times just as a request comes; all requests here may be repeated.
      if (!(thrown instanceof StaleError) || this.#closed)
        throw connectionError(thrown, this.#options.endpoint);
    }
    try {
      return await this.#sendBy(this.#connect(), head, request);
    } catch (thrown) {
      throw connectionError(thrown, this.#options.endpoint);
    }
  }

  /** Ends idle connections, and those in use with their requests. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#all) connection.close(new Error('the store was closed'));
  }

  async #sendBy(connection: HttpConnection, head: string, request: HttpRequest): Promise<HttpResponse> {
    const { method, body, signal } = request;
    const forget = whenAborted(signal, () => connection.close(cancelled(signal)));
    try {
      const response = await connection.exchange(head, body, method === 'HEAD');
      if (response.reusable && this.#all.has(connection)) this.#release(connection);
      return response;
    } finally {
      forget();
    }
  }

  #release(connection: HttpConnection): void {
    if (this.#idle.length < this.#options.idleMax) this.#idle.push(connection);
    else connection.close(new Error('enough of them are idle'));
  }

  #connect(): HttpConnection {
    const { authorities } = this.#options;
    const connection: HttpConnection = new HttpConnection({
      host: this.#host,
      port: this.#port,
      idleTimeoutMs: this.#options.idleTimeoutMs,
      ...(this.#secure && {
        tls: { ...(authorities && { authorities }), ...(this.#tlsSession && { session: this.#tlsSession }) },
      }),
      onSession: (session) => (this.#tlsSession = session),
      onClose: () => {
        this.#all.delete(connection);
        const at = this.#idle.indexOf(connection);
        if (at >= 0) this.#idle.splice(at, 1);
      },
    });
    this.#all.add(connection);
    return connection;
  }
}

function headOf({ method, path, headers, body }: HttpRequest): string {
  let head = `${method} ${path} HTTP/1.1\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    if (!HEADER_VALUE.test(value)) throw new GfsError('EINVAL', `header ${name} cannot be sent`);
    head += `${name}: ${value}\r\n`;
  }
  return body === undefined ? head : `${head}content-length: ${body.length}\r\n`;
}

/** Node's and OpenSSL's codes for a certificate that does not hold: nobody gains by trying again. */
const CERTIFICATE =
  /^(?:ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(?:GET|VERIFY|DECRYPT)_|INVALID_CA|HOSTNAME_MISMATCH)/;

/** Translates what goes wrong with a connection, ours or the SDK's. A GfsError stays as it is. */
export function connectionError(thrown: unknown, endpoint: URL): GfsError {
  if (thrown instanceof GfsError) return thrown;
  const { code = '', message } = thrown as NodeJS.ErrnoException;
  if (CERTIFICATE.test(code)) {
    const what = `the certificate of ${endpoint.host} is not trusted (${code}: ${message})`;
    return new GfsError('CONFIG', `${what}; set caFile to its authority, and check the host name and date`, {
      cause: thrown,
    });
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    const what = `${endpoint.host} does not speak TLS as asked`;
    return new GfsError('CONFIG', `${what}; check whether the endpoint is https or http`, { cause: thrown });
  }
  const how = code === '' || message.includes(code) ? message : `${code}: ${message}`;
  const what = thrown instanceof SilenceError ? `${endpoint.host} gave` : `cannot reach ${endpoint.host}:`;
  const odd = thrown instanceof ProtocolError ? '; check the endpoint, and whether it is https or http' : '';
  return new GfsError('UNAVAILABLE', `${what} ${how}${odd}`, { cause: thrown });
}
