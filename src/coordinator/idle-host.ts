import type { LeaseHost } from './client.js';

/** The host of a client that serves nobody yet: nothing is kept, nothing is open. */
export const IDLE_HOST: LeaseHost = {
  forgetEntry: () => undefined,
  forgetInode: () => undefined,
  yieldRead: () => undefined,
  yieldWrite: () => Promise.resolve(),
  liveAttributes: () => undefined,
  inUse: () => false,
  forgetAll: () => undefined,
  uncommitted: () => [],
  sessionLost: () => undefined,
};
