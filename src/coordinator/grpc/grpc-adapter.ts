import { createServer, type Server as SocketServer, type Socket } from 'node:net';
import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  type ServiceDefinition,
  status,
  type StatusObject,
} from '@grpc/grpc-js';
import { GfsError, type GfsErrorCode } from '../../core/index.js';
import { FRAME_BYTES_MAX } from '../wire/index.js';
import type { TlsMaterial } from './tls-material.js';

/**
 * gRPC, as far as it is needed: streams of frames and single calls, all of them bytes. The only file that
 * knows grpc-js and its errors.
 */

/** One side of a stream. */
export interface FrameStream {
  /** @param taken called when the other side's flow control has let the frame out */
  write(frame: Uint8Array, taken: () => void): void;
  /** Ends the stream after what was written. */
  end(): void;
  /** Ends it at once, with the whole connection: a peer that does not read would hear nothing else. */
  cut(): void;
  readonly peer: string;
}

export interface FrameHandler {
  frame(bytes: Uint8Array): void;
  /** Once. */
  closed(error: GfsError): void;
}

export interface GrpcServices {
  /** A new stream of `Coordinator/Mount`. */
  mount(stream: FrameStream): FrameHandler;
  /** A call of `Admin/Call`. Does not reject. */
  call(request: Uint8Array): Promise<Uint8Array>;
  /** A call of a client that is not known was refused. */
  refused(peer: string, reason: string): void;
}

const MOUNT = '/globalfs.v1.Coordinator/Mount';
const ADMIN_CALL = '/globalfs.v1.Admin/Call';

/**
 * A machine that is gone without a word is noticed within their sum: with a session's usual time to live
 * (10 s), about when the session ends anyway.
 */
const KEEPALIVE_MS = 5000;
const KEEPALIVE_ANSWER_MS = 5000;

/** What one side may have sent that the other has not taken: at 50 ms there and back, 4 MiB are 80 MiB/s. */
const WINDOW_BYTES = 4 * 1024 * 1024;

const COMMON_OPTIONS = {
  'grpc.keepalive_time_ms': KEEPALIVE_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_ANSWER_MS,
  'grpc.max_receive_message_length': FRAME_BYTES_MAX,
  'grpc.max_send_message_length': FRAME_BYTES_MAX,
  'grpc-node.flow_control_window': WINDOW_BYTES,
  'grpc.enable_channelz': 0, // bookkeeping of each message that nobody reads
} as const;

const identity = (bytes: Buffer): Buffer => bytes;
const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

const method = (path: string, stream: boolean) => ({
  path,
  requestStream: stream,
  responseStream: stream,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});

// ---- Listening

/** What a client that is not known is told. TLS by itself would only end the connection. */
const STRANGER =
  "the coordinator serves only clients with a certificate of its authority ('tls.ca'); " +
  'this one has none, or one that is expired or of another authority';

/** Connections on which nothing is asked. */
const IDLE_MS = 30_000;

/** Asks for the client's certificate, and leaves it to each call to refuse: so that it can say why. */
class AskingCredentials extends ServerCredentials {
  constructor({ ca, cert, key }: TlsMaterial) {
    super({ requestCert: true, rejectUnauthorized: false }, { ca, cert, key });
  }

  override _equals(other: ServerCredentials): boolean {
    return other === this;
  }
}

type Call = ServerDuplexStream<Buffer, Buffer> | ServerUnaryCall<Buffer, Buffer>;

export class GrpcListener {
  readonly #services: GrpcServices;
  readonly #tls: TlsMaterial | undefined;
  readonly #server: Server;
  readonly #sockets = new Map<string, Socket>();
  readonly #listener: SocketServer;

  constructor(services: GrpcServices, tls: TlsMaterial | undefined) {
    this.#services = services;
    this.#tls = tls;
    this.#server = new Server({ ...COMMON_OPTIONS, 'grpc.max_connection_idle_ms': IDLE_MS });
    const definition: ServiceDefinition = { mount: method(MOUNT, true), call: method(ADMIN_CALL, false) };
    this.#server.addService(definition, {
      mount: (call: ServerDuplexStream<Buffer, Buffer>) => this.#mount(call),
      call: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => this.#call(call, reply),
    });
    const injector = this.#server.createConnectionInjector(
      tls === undefined ? ServerCredentials.createInsecure() : new AskingCredentials(tls),
    );
    // The sockets are ours, so that a connection can be ended whatever gRPC still has to send on it.
    this.#listener = createServer({ noDelay: true }, (socket) => {
      const peer = peerOf(socket);
      this.#sockets.set(peer, socket);
      socket.once('close', () => this.#sockets.delete(peer));
      injector.injectConnection(socket);
    });
  }

  /** @returns the port, for where 0 was asked for. @throws the system's error */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#listener.once('error', reject);
      this.#listener.listen(port, host, () => {
        this.#listener.off('error', reject);
        resolve((this.#listener.address() as { port: number }).port);
      });
    });
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    this.#server.forceShutdown();
    for (const socket of this.#sockets.values()) socket.destroy();
    await closed;
  }

  /** @returns false when the call was refused, by `refuse` */
  #known(call: Call, refuse: (error: { code: status; details: string }) => void): boolean {
    if (this.#tls === undefined || call.getAuthContext()?.sslPeerCertificate !== undefined) return true;
    this.#services.refused(call.getPeer(), STRANGER);
    refuse({ code: status.UNAUTHENTICATED, details: STRANGER });
    return false;
  }

  #mount(call: ServerDuplexStream<Buffer, Buffer>): void {
    call.on('error', () => undefined); // 'cancelled' follows, or it is our own
    if (!this.#known(call, (error) => call.emit('error', error))) return;
    call.sendMetadata(new Metadata()); // the client knows by it that the stream has come about
    let open = true;
    const end = (): void => {
      if (!open) return;
      open = false;
      // In a turn of its own: never from within the handler's own `end` or `cut`.
      setImmediate(() => handler.closed(new GfsError('UNAVAILABLE', `${peer} ended the connection`)));
    };
    const address = call.getPeer();
    const name = call.getAuthContext()?.sslPeerCertificate?.subject.CN;
    const peer = name === undefined ? address : `${address} (${String(name)})`;
    const handler = this.#services.mount({
      peer,
      write: (frame, taken) => {
        if (open) call.write(bufferOf(frame), taken);
      },
      end: () => {
        if (open) call.end();
        end();
      },
      cut: () => {
        end();
        this.#sockets.get(address)?.destroy();
      },
    });
    call.on('data', (frame: Buffer) => {
      if (open) handler.frame(frame);
    });
    call.on('end', () => {
      call.end();
      end();
    });
    call.on('cancelled', end);
  }

  #call(call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>): void {
    if (!this.#known(call, (error) => reply(error))) return;
    void this.#services.call(call.request).then((answer) => reply(null, bufferOf(answer)));
  }
}

const peerOf = (socket: Socket): string => `${socket.remoteAddress}:${socket.remotePort}`;

// ---- Dialling

const CLIENT_OPTIONS = {
  ...COMMON_OPTIONS,
  'grpc.use_local_subchannel_pool': 1, // a connection of its own, which ends with the channel
  'grpc.enable_retries': 0, // what is sent again is decided above
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0, // $http_proxy is not meant for coordinators
} as const;

/** Connections to one coordinator. */
export class GrpcChannel {
  readonly #address: string;
  readonly #client: Client;

  /** @param address `host:port` */
  constructor(address: string, tls: TlsMaterial | undefined) {
    this.#address = address;
    const security =
      tls === undefined ? credentials.createInsecure() : credentials.createSsl(tls.ca, tls.key, tls.cert);
    this.#client = new Client(`dns:${address}`, security, CLIENT_OPTIONS);
  }

  close(): void {
    this.#client.close();
  }

  /** A stream of `Coordinator/Mount`. UNAVAILABLE when it has not come about after `withinMs`. */
  mount(handler: FrameHandler, withinMs: number): FrameStream {
    const call: ClientDuplexStream<Buffer, Buffer> = this.#client.makeBidiStreamRequest(
      MOUNT,
      identity,
      identity,
      new Metadata(),
      {},
    );
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      call.cancel();
    }, withinMs);
    call.on('metadata', () => clearTimeout(timer));
    call.on('data', (frame: Buffer) => handler.frame(frame));
    call.on('error', () => undefined); // 'status' says the same
    let ended: StatusObject | undefined;
    let drained = false;
    // The status may overtake frames that are waiting to be read.
    const closed = (): void => {
      if (ended === undefined || !drained) return;
      clearTimeout(timer);
      const error = errorOf(this.#address, ended);
      handler.closed(
        late ? new GfsError('UNAVAILABLE', `no answer from ${this.#address} within ${withinMs} ms`) : error,
      );
    };
    call.on('status', (said: StatusObject) => {
      ended = said;
      closed();
    });
    call.on('end', () => {
      drained = true;
      closed();
    });
    return {
      peer: this.#address,
      write: (frame, taken) => call.write(bufferOf(frame), taken),
      end: () => call.end(),
      cut: () => call.cancel(),
    };
  }

  /** A call of `Admin/Call`. @throws GfsError UNAVAILABLE, TIMEOUT, EACCES, EOPNOTSUPP */
  call(request: Uint8Array, withinMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + withinMs };
      this.#client.makeUnaryRequest(
        ADMIN_CALL,
        identity,
        identity,
        bufferOf(request),
        new Metadata(),
        options,
        (error, answer) => {
          if (error !== null) reject(errorOf(this.#address, error));
          else resolve(answer as Buffer);
        },
      );
    });
  }
}

/** What a status means here; everything else is UNAVAILABLE. */
const CODES = new Map([
  [status.UNAUTHENTICATED, 'EACCES'],
  [status.PERMISSION_DENIED, 'EACCES'],
  [status.UNIMPLEMENTED, 'EOPNOTSUPP'], // something else than a coordinator answers there
  [status.DEADLINE_EXCEEDED, 'TIMEOUT'],
  [status.CANCELLED, 'CANCELLED'],
] as const);

function errorOf(address: string, { code, details }: { code: status; details: string }): GfsError {
  if (code === status.OK) return new GfsError('UNAVAILABLE', `${address} ended the connection`);
  const said = details === '' ? status[code] : details;
  return new GfsError((CODES as Map<status, GfsErrorCode>).get(code) ?? 'UNAVAILABLE', `${address}: ${said}`);
}
