import * as net from 'node:net';
import * as tls from 'node:tls';
import { type HttpResponse, ProtocolError, ResponseParser } from './response-parser.js';

export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  /** Absent: not by TLS. */
  readonly tls?: { readonly authorities?: readonly string[]; readonly session?: Buffer };
  /** Closes it when for so long no byte went either way, with a request or without. */
  readonly idleTimeoutMs: number;
  readonly onSession: (session: Buffer) => void;
  /** Once, when it can carry no further request. */
  readonly onClose: () => void;
}

/** An idle connection whose server is gone is noticed before the next request needs it, mostly. */
const TCP_KEEP_ALIVE_MS = 30_000;

/** The time is over in which a byte should have come. */
export class SilenceError extends Error {}

/** The connection was closed before anything of a response came: the server may not have seen the request. */
export class StaleError extends Error {}

interface Exchange {
  readonly resolve: (response: HttpResponse) => void;
  readonly reject: (error: Error) => void;
}

/** One connection of HTTP/1.1, one request at a time. */
export class HttpConnection {
  readonly #socket: net.Socket;
  readonly #options: ConnectionOptions;
  readonly #parser = new ResponseParser();
  #exchange: Exchange | undefined;
  #carried = 0;
  #closed = false;

  /** Connects while the first request waits for it. */
  constructor(options: ConnectionOptions) {
    this.#options = options;
    const common = {
      host: options.host,
      port: options.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
      onread: {
        buffer: () => this.#parser.target(),
        callback: (count: number) => this.#onBytes(count),
      },
    };
    this.#socket = options.tls === undefined ? net.connect(common) : connectTls(common, options);
    this.#socket.setTimeout(options.idleTimeoutMs, () => {
      this.#close(new SilenceError(`no sign of life for ${options.idleTimeoutMs} ms`));
    });
    this.#socket.on('error', (error) => this.#close(error));
    this.#socket.on('close', () => this.#onEnd());
    this.#socket.on('end', () => this.#onEnd());
  }

  /**
   * Sends a request and resolves with its response. After an error the connection is closed.
   * @param head the request line and headers, without the empty line
   */
  exchange(head: string, body: Uint8Array | undefined, bodyless: boolean): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new Error('the connection is closed'));
      this.#exchange = { resolve, reject };
      this.#carried++;
      this.#parser.begin(bodyless);
      const socket = this.#socket.ref();
      if (body === undefined || body.length === 0) {
        socket.write(`${head}\r\n`, 'latin1');
        return;
      }
      socket.cork();
      socket.write(`${head}\r\n`, 'latin1');
      socket.write(body);
      socket.uncork();
    });
  }

  /** Closes it; a request that runs fails with `error`. */
  close(error: Error): void {
    this.#close(error);
  }

  /** Returns whether to go on reading, as Node asks. */
  #onBytes(count: number): boolean {
    if (this.#closed) return false;
    if (this.#exchange === undefined) {
      this.#close(new ProtocolError('the server speaks without being asked'));
      return false;
    }
    try {
      const response = this.#parser.filled(count);
      if (response !== undefined) this.#finish(response);
    } catch (thrown) {
      this.#close(thrown as Error);
    }
    return !this.#closed;
  }

  #finish(response: HttpResponse): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    // An answer before the request was sent to its end: the rest of it would be taken for the next request.
    if (!response.reusable || this.#socket.writableLength > 0) this.#close(new Error('not reusable'));
    else this.#socket.unref(); // an idle connection keeps no process alive
    exchange?.resolve(response);
  }

  #onEnd(): void {
    if (this.#closed) return;
    if (this.#exchange === undefined) return this.#close(new Error('ended'));
    if (this.#parser.untouched) return this.#close(new StaleError('the server closed the connection'));
    try {
      this.#finish(this.#parser.ended());
    } catch (thrown) {
      this.#close(thrown as Error);
    }
  }

  #close(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.destroy();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#options.onClose();
    if (exchange === undefined) return;
    const { code } = error as NodeJS.ErrnoException;
    const stale = this.#carried > 1 && this.#parser.untouched && (code === 'ECONNRESET' || code === 'EPIPE');
    exchange.reject(stale ? new StaleError(error.message, { cause: error }) : error);
  }
}

function connectTls(common: tls.ConnectionOptions, options: ConnectionOptions): tls.TLSSocket {
  const { authorities, session } = options.tls ?? {};
  const socket = tls.connect({
    ...common,
    ALPNProtocols: ['http/1.1'],
    ...(net.isIP(options.host) === 0 && { servername: options.host }),
    ...(authorities && { ca: [...authorities] }),
    ...(session && { session }),
  });
  socket.on('session', options.onSession);
  return socket;
}
