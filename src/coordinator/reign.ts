import type { Coordinator } from './coordinator.js';
import type { Readiness } from './health-server.js';

/** Who leads: this process, sometimes or always, or another one. */
export interface Reign {
  readonly role: 'leader' | 'standby';
  /** While this process leads. */
  readonly coordinator: Coordinator | undefined;
  readonly readiness: Readiness;
  /** The address of another process that leads, when that is known. */
  leader(): string | undefined;
  /** Resolves after `stop`; rejects with what makes it pointless to go on. */
  readonly ended: Promise<void>;
  /** Stores everything, and lets another one lead. */
  stop(): Promise<void>;
}
