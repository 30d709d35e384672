import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { ControlClient } from './control-client.js';
import type { StateService } from './mount-service.js';
import { globalfsMounts, mountAt, type GlobalfsMount } from './mountinfo.js';
import { canonicalMountpoint } from './mountpoint.js';
import { problem } from './problem.js';
import { claimState, defaultStateDir, runningOwner } from './state-dir.js';

/** The GlobalFS that is mounted on `path`. @throws GfsError ENOENT */
export async function mountedAt(path: string): Promise<GlobalfsMount> {
  const mountpoint = await canonicalMountpoint(path);
  const entry = mountAt(mountpoint, globalfsMounts());
  if (entry !== undefined) return entry;
  throw problem('ENOENT', 'no GlobalFS is mounted there', mountpoint, "'globalfs status' lists the mounts");
}

export interface Target {
  readonly stateDir: string;
  readonly service: StateService;
  close(): Promise<void>;
}

async function openAtRest(stateDir: string, command: string): Promise<Target> {
  const claim = await claimState(stateDir, command, null);
  const { createProcessLogger } = await import('./winston-logger.js');
  const { openState } = await import('./compose.js');
  const state = await openState(stateDir, createProcessLogger('warn'));
  return {
    stateDir,
    service: state,
    close: async () => {
      await state.close();
      claim.release();
    },
  };
}

/**
 * Where maintenance works: on a mount by its control socket, or on a state directory: through the mount
 * that uses it when there is one, else by itself, and then nobody can mount it until `close`.
 */
export async function openTarget(
  where: { mountpoint: string | undefined; state: string | undefined },
  command: string,
): Promise<Target> {
  const stateDir =
    where.mountpoint === undefined
      ? resolve(where.state ?? defaultStateDir())
      : (await mountedAt(where.mountpoint)).stateDir;
  const owner = runningOwner(stateDir);
  if (owner !== undefined && owner.mountpoint !== null) {
    return { stateDir, service: new ControlClient(stateDir), close: () => Promise.resolve() };
  }
  if (!existsSync(stateDir)) {
    throw problem('ENOENT', 'there is no state directory', stateDir, 'name it with --state DIR');
  }
  return openAtRest(stateDir, command);
}
