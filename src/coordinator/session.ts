import type { Ino } from '../core/index.js';
import type { AppliedCommands } from './applied-commands.js';
import type { InFlightCommand } from './in-flight-command.js';
import type { OpenRequest } from './open-request.js';
import type { NodeHealth, ServerMessage, ServerStream } from './wire/index.js';

/** What a mount says of itself in `hello`. */
export interface SessionFacts {
  readonly site: string;
  readonly member: string;
  readonly mountpoint: string;
  readonly pid: number;
  /** GlobalFS version. */
  readonly software: string;
}

/** Times are of the coordinator's monotonic clock. */
export type SessionState =
  | { readonly kind: 'connected'; readonly stream: ServerStream; readonly sinceMs: number }
  /** May come back until it expires. So is a session that an earlier leader has left, before it comes. */
  | { readonly kind: 'disconnected'; readonly sinceMs: number }
  /** Nothing is taken from it any more. Its leases are free once the end is stored. */
  | { readonly kind: 'ended'; readonly reason: string };

/** A question to the writer of a file, and the request that needs the answer. */
export interface Query {
  readonly ino: Ino;
  readonly request: OpenRequest;
}

/** The coordinator's record of a mount. */
export class Session {
  readonly id: string;
  readonly epoch: number;
  readonly facts: SessionFacts;
  readonly applied: AppliedCommands;
  state: SessionState;
  /** Without a heartbeat before, the session ends. */
  expiresAtMs: number;
  health: NodeHealth | null = null;
  /** Of the newest hello; a new leader takes the first that comes. */
  connection = -1;
  /** Requests of the present stream that wait for something. */
  readonly waiting = new Map<number, OpenRequest>();
  /** Notices that the mount has not acknowledged, and the commands that wait for it. */
  readonly owed = new Map<number, InFlightCommand>();
  /** Questions that the mount has not answered. */
  readonly queries = new Map<number, Query>();

  constructor(
    ref: { readonly id: string; readonly epoch: number },
    facts: SessionFacts,
    applied: AppliedCommands,
    start: { readonly state: SessionState; readonly expiresAtMs: number },
  ) {
    this.id = ref.id;
    this.epoch = ref.epoch;
    this.facts = facts;
    this.applied = applied;
    this.state = start.state;
    this.expiresAtMs = start.expiresAtMs;
  }

  /** To a mount that is not connected nothing is sent: what it has to know is said when it comes back. */
  send(message: ServerMessage): void {
    if (this.state.kind === 'connected') this.state.stream.send(message);
  }

  /** Its stream is gone: the mount asks again what was not answered. */
  dropRequests(): void {
    const dropped = [...this.waiting.values()];
    this.waiting.clear();
    for (const request of dropped) request.drop();
  }
}
