import { errorFields, GfsError, type Logger, toGfsError } from '../../core/index.js';
import type { AdminApi } from '../admin-api.js';
import { type AcceptStream, clientFrames, type ClientMessage, serverFrames } from '../wire/index.js';
import { addressOf, hostAndPort } from './address.js';
import { answerAdminCall } from './admin-calls.js';
import { type FrameHandler, type FrameStream, GrpcListener } from './grpc-adapter.js';
import { PackedStream } from './packed-stream.js';
import type { TlsMaterial } from './tls-material.js';

export interface GrpcServerOptions {
  /** `host:port`; port 0 takes one that is free. */
  readonly listen: string;
  /** With it, TLS, and only clients with a certificate of `tls.ca`. */
  readonly tls?: TlsMaterial;
  readonly accept: AcceptStream;
  /** Who answers administration now: a standby has another one than a leader. */
  readonly admin: () => AdminApi;
  readonly logger: Logger;
}

/** Where mounts and administration reach a coordinator. */
export class GrpcServer {
  readonly #options: GrpcServerOptions;
  readonly #listener: GrpcListener;
  #address = '';

  /** @throws GfsError CONFIG for an address that cannot be listened on */
  static async listen(options: GrpcServerOptions): Promise<GrpcServer> {
    const server = new GrpcServer(options);
    await server.#listen();
    return server;
  }

  private constructor(options: GrpcServerOptions) {
    this.#options = options;
    const { admin, logger, tls } = options;
    this.#listener = new GrpcListener(
      {
        mount: (stream) => this.#mount(stream),
        call: (request) => answerAdminCall(admin(), request),
        refused: (peer, reason) => logger.warn('a client was refused', { peer, reason }),
      },
      tls,
    );
  }

  /** `host:port`, with the port that was taken. */
  get address(): string {
    return this.#address;
  }

  async #listen(): Promise<void> {
    const { listen } = this.#options;
    const { host, port } = hostAndPort(listen);
    try {
      this.#address = addressOf(host, await this.#listener.listen(host, port));
    } catch (thrown) {
      throw new GfsError('CONFIG', `cannot listen on ${listen}: ${toGfsError(thrown).message}`, {
        cause: thrown,
      });
    }
  }

  /** Ends all streams at once. Whoever wants to say something before has sent it, and waited a moment. */
  close(): Promise<void> {
    return this.#listener.close();
  }

  #mount(stream: FrameStream): FrameHandler {
    const { accept, logger } = this.#options;
    const { peer } = stream;
    const packed = new PackedStream(serverFrames, stream, (backlogBytes) =>
      logger.warn('a mount that does not read was disconnected', { peer, backlogBytes }),
    );
    const handler = accept({
      peer,
      send: (message) => packed.send(message),
      close: () => packed.close(),
    });
    return {
      frame: (bytes) => {
        let messages: ClientMessage[];
        try {
          messages = clientFrames.decode(bytes);
        } catch (thrown) {
          logger.warn('a mount that sent what is no message was disconnected', {
            peer,
            ...errorFields(thrown),
          });
          packed.stop();
          stream.cut();
          return;
        }
        for (const message of messages) handler.message(message);
      },
      closed: () => {
        packed.stop();
        handler.closed();
      },
    };
  }
}
