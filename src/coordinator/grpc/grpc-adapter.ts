import { createServer, isIP, type Server as SocketServer, type Socket } from 'node:net';
import {
  checkServerIdentity,
  createServer as createTlsServer,
  type Server as TlsServer,
  TLSSocket,
} from 'node:tls';
import {
  type ChannelCredentials,
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
import { hostAndPort } from './address.js';
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

/** Three times what a dialler waits in all (grpc-dialer.ts). */
const HANDSHAKE_MS = 15_000;

/** Connections on which nothing is asked. */
const IDLE_MS = 30_000;

type Call = ServerDuplexStream<Buffer, Buffer> | ServerUnaryCall<Buffer, Buffer>;

/**
 * Accepts connections. With TLS every client is asked for its certificate, but it is each call that is
 * refused to one that has none that is good: TLS by itself would end the connection without saying why.
 */
export class GrpcListener {
  readonly #services: GrpcServices;
  readonly #tls: TlsMaterial | undefined;
  readonly #server: Server;
  /** The sockets are ours, so that a connection can be ended whatever gRPC still has to send on it. */
  readonly #listener: SocketServer;
  readonly #sockets = new Map<string, Socket>();
  /** Those whose TLS handshake is not done. */
  readonly #handshakes = new Map<string, Socket>();

  constructor(services: GrpcServices, tls: TlsMaterial | undefined) {
    this.#services = services;
    this.#tls = tls;
    this.#server = new Server({ ...COMMON_OPTIONS, 'grpc.max_connection_idle_ms': IDLE_MS });
    const definition: ServiceDefinition = { mount: method(MOUNT, true), call: method(ADMIN_CALL, false) };
    this.#server.addService(definition, {
      mount: (call: ServerDuplexStream<Buffer, Buffer>) => this.#mount(call),
      call: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => this.#call(call, reply),
    });
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    const accept = (socket: Socket): void => {
      const peer = peerOf(socket);
      this.#handshakes.delete(peer); // from now on the TLS socket owns what is below it
      this.#sockets.set(peer, socket);
      socket.once('close', () => this.#sockets.delete(peer));
      const reason = socket instanceof TLSSocket && !socket.authorized ? reasonOf(socket) : undefined;
      // HTTP/2 tells its streams of errors, but leaves the event to others. What OpenSSL found in a certificate
      // may also end the connection here, with a first read, before there is a call to refuse.
      socket.on('error', () => {
        if (reason !== undefined) services.refused(peer, reason);
      });
      injector.injectConnection(socket);
    };
    this.#listener =
      tls === undefined ? createServer({ noDelay: true }, accept) : this.#tlsServer(tls, accept);
  }

  #tlsServer({ ca, cert, key }: TlsMaterial, accept: (socket: TLSSocket) => void): TlsServer {
    const ask = { requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['h2'] };
    const options = { ca, cert, key, ...ask, noDelay: true, handshakeTimeout: HANDSHAKE_MS };
    const listener = createTlsServer(options, accept);
    listener.on('connection', (socket: Socket) => {
      const peer = peerOf(socket);
      this.#handshakes.set(peer, socket);
      socket.once('close', () => this.#handshakes.delete(peer));
    });
    return listener.on('tlsClientError', (error, socket) => {
      // A socket without an address has left by itself: a port scan, or a check that the port is open.
      if (socket.remoteAddress !== undefined) this.#services.refused(peerOf(socket), error.message);
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
    for (const socket of [...this.#sockets.values(), ...this.#handshakes.values()]) socket.destroy();
    await closed;
  }

  /** @returns false when the call was refused, by `refuse` */
  #known(call: Call, refuse: (error: { code: status; details: string }) => void): boolean {
    if (this.#tls === undefined || call.getAuthContext()?.sslPeerCertificate !== undefined) return true;
    const peer = call.getPeer();
    const socket = this.#sockets.get(peer);
    const reason = socket instanceof TLSSocket ? reasonOf(socket) : 'the connection has ended';
    const details = `${STRANGER}: ${reason}`;
    this.#services.refused(peer, reason);
    refuse({ code: status.UNAUTHENTICATED, details });
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

const STRANGER = "only clients with a certificate of this coordinator's authority ('tls.ca') are served";

/** Why TLS does not believe the client; OpenSSL's word for it when there is one. */
function reasonOf(socket: TLSSocket): string {
  if (socket.getPeerX509Certificate() === undefined) return 'this one has none';
  return `the certificate is not good (${String(socket.authorizationError)})`;
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

/** The server's certificate must be for the host that is connected to, whatever name it is asked by. */
const clientCredentials = ({ ca, cert, key }: TlsMaterial, host: string): ChannelCredentials =>
  credentials.createSsl(ca, key, cert, {
    checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
  });

/** Connections to one coordinator. */
export class GrpcChannel {
  readonly #address: string;
  readonly #client: Client;

  /** @param address `host:port` */
  constructor(address: string, tls: TlsMaterial | undefined) {
    this.#address = address;
    const { host } = hostAndPort(address);
    const security = tls === undefined ? credentials.createInsecure() : clientCredentials(tls, host);
    // An IP address is no name to ask a TLS server for (RFC 6066), and Node warns of it.
    const names = isIP(host) === 0 ? {} : { 'grpc.ssl_target_name_override': 'coordinator' };
    this.#client = new Client(`dns:${address}`, security, { ...CLIENT_OPTIONS, ...names });
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

/** What grpc-js says of an address at which no connection came about (load-balancer-pick-first.js): why is enough. */
const REFUSED = /^No connection established\. Last error: (?:Error: )?(.+)\. Resolution note: /s;

function errorOf(address: string, { code, details }: { code: status; details: string }): GfsError {
  if (code === status.OK) return new GfsError('UNAVAILABLE', `${address} ended the connection`);
  const said = details === '' ? status[code] : (REFUSED.exec(details)?.[1] ?? details);
  return new GfsError((CODES as Map<status, GfsErrorCode>).get(code) ?? 'UNAVAILABLE', `${address}: ${said}`);
}
