import { toGfsError } from '../core/errors.js';
import { ControlClient } from './control-client.js';
import type { MountStatus } from './mount-service.js';
import { globalfsMounts, type GlobalfsMount } from './mountinfo.js';
import { problem } from './problem.js';
import { reach } from './reach.js';

/** A mount answers from memory, within a millisecond; nobody should wait long for one that hangs. */
const ANSWER_MS = 2000;

/** `stale`: its process has ended. `unreachable`: it does not answer us; `error` says why. */
export type LocalMount =
  | ({ readonly state: 'serving' } & MountStatus)
  | {
      readonly state: 'stale' | 'unreachable';
      readonly mountpoint: string;
      readonly stateDir: string;
      readonly error: string;
    };

/** What a mount of this machine says of itself, or why it says nothing; within `ANSWER_MS` in any case. */
export async function askMount({ mountpoint, stateDir }: GlobalfsMount): Promise<LocalMount> {
  try {
    const status = await new ControlClient(stateDir).status(ANSWER_MS);
    if (status.mountpoint === mountpoint) return { state: 'serving', ...status };
    throw problem('UNAVAILABLE', 'its state directory is mounted elsewhere', status.mountpoint ?? '', '');
  } catch (thrown) {
    const { code, message } = toGfsError(thrown);
    // A process that took the question and does not answer is there; all else fails at once.
    if (code === 'TIMEOUT' || (await reach(mountpoint, ANSWER_MS)) !== 'stale') {
      return { state: 'unreachable', mountpoint, stateDir, error: message };
    }
    const error = `its process has ended; mount there again, or 'globalfs umount ${mountpoint}'`;
    return { state: 'stale', mountpoint, stateDir, error };
  }
}

/** All mounts of this machine, asked at the same time. */
export function askMounts(): Promise<LocalMount[]> {
  return Promise.all(globalfsMounts().map(askMount));
}
