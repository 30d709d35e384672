import { errorFields, GfsError, type Logger, toGfsError } from '../../core/index.js';
import {
  clientFrames,
  type ClientStream,
  type ClientStreamHandler,
  type Dialer,
  serverFrames,
  type ServerMessage,
} from '../wire/index.js';
import { GrpcChannel } from './grpc-adapter.js';
import { PackedStream } from './packed-stream.js';
import type { TlsMaterial } from './tls-material.js';

/** A coordinator that is there answers in milliseconds; a handshake over a slow network takes some of 0.3 s. */
const CONNECT_MS = 5000;

/** How long a coordinator may take to read what was sent before `close`; then the connection is cut. */
const LINGER_MS = 5000;

export interface GrpcDialerOptions {
  readonly tls?: TlsMaterial;
  readonly logger: Logger;
  /** Until the stream must have come about. */
  readonly connectMs?: number;
}

/** Streams by gRPC, each on a connection of its own: it is made when it is asked for, and ends with the stream. */
export class GrpcDialer implements Dialer {
  readonly #options: GrpcDialerOptions;

  constructor(options: GrpcDialerOptions) {
    this.#options = options;
  }

  connect(address: string, handler: ClientStreamHandler): ClientStream {
    const { tls, logger, connectMs = CONNECT_MS } = this.#options;
    const channel = new GrpcChannel(address, tls);
    let lingering: NodeJS.Timeout | undefined;
    /** Why the stream was ended from here. */
    let reason: GfsError | undefined;
    const stream = channel.mount(
      {
        frame: (bytes) => {
          if (reason !== undefined) return;
          let messages: ServerMessage[];
          try {
            messages = serverFrames.decode(bytes);
          } catch (thrown) {
            logger.error('the coordinator sent what is no message', { address, ...errorFields(thrown) });
            reason = new GfsError('UNAVAILABLE', `${address}: ${toGfsError(thrown).message}`, {
              cause: thrown,
            });
            stream.cut();
            return;
          }
          for (const message of messages) handler.message(message);
        },
        closed: (error) => {
          clearTimeout(lingering);
          packed.stop();
          channel.close();
          handler.closed(reason ?? error);
        },
      },
      connectMs,
    );
    const packed = new PackedStream(clientFrames, stream, (backlogBytes) => {
      logger.warn('the coordinator does not read; disconnected', { address, backlogBytes });
      reason = new GfsError('UNAVAILABLE', `${address} does not read what it is sent`);
    });
    return {
      send: (message) => packed.send(message),
      close: () => {
        if (reason !== undefined) return;
        reason = new GfsError('CANCELLED', `the connection to ${address} was closed`);
        packed.close();
        lingering = setTimeout(() => stream.cut(), LINGER_MS);
      },
    };
  }
}
