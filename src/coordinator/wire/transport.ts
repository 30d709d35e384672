import type { GfsError } from '../../core/index.js';
import type { ClientMessage, ServerMessage } from './messages.js';

/**
 * The ports between those who speak (coordinator, remote client) and what carries it: gRPC, or memory in
 * tests. A stream is ordered and loses nothing until it ends; when it ends, what was under way may or may
 * not have arrived. All calls of a handler come from the event loop, never from within `send` or `close`.
 */

/** One mount's stream, seen from the coordinator. */
export interface ServerStream {
  /**
   * Packed: everything that is sent in one turn of the event loop travels in one frame. Does nothing after
   * the end of the stream.
   * @throws GfsError EINVAL for a message that does not fit the wire
   */
  send(message: ServerMessage): void;
  /** Ends the stream after what was sent. `closed` of the handler follows. */
  close(): void;
  /** For people: the other side's address, and the name in its certificate when there is one. */
  readonly peer: string;
}

/** What the coordinator gives for a new stream. */
export interface StreamHandler {
  message(message: ClientMessage): void;
  /** Once, for whatever reason; nothing follows. */
  closed(): void;
}

/** What a listener calls for every new stream. */
export type AcceptStream = (stream: ServerStream) => StreamHandler;

/** The same stream, seen from the mount. */
export interface ClientStream {
  /** As `ServerStream.send`. May be called at once: it waits for the connection. */
  send(message: ClientMessage): void;
  /** Ends the stream after what was sent. `closed` of the handler follows (CANCELLED). */
  close(): void;
}

export interface ClientStreamHandler {
  message(message: ServerMessage): void;
  /** Once; nothing follows. UNAVAILABLE with the address, or CANCELLED after the own `close`. */
  closed(error: GfsError): void;
}

export interface Dialer {
  /** Returns at once. When no connection comes about, `closed` says so. */
  connect(address: string, handler: ClientStreamHandler): ClientStream;
}
