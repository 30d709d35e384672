import { closeSync, constants, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { toGfsError } from '../core/errors.js';
import { problem } from './problem.js';
import { isRunning, processId, type ProcessId } from './processes.js';

/** Who uses a state directory: the content of its `owner.json`, which its owner keeps locked. */
export interface Owner extends ProcessId {
  /** null for maintenance without a mount. */
  readonly mountpoint: string | null;
  readonly command: string;
  readonly startedAt: string;
}

/** /var/lib/globalfs for root; else where the XDG base directory specification puts a user's data. */
export function defaultStateDir(env: NodeJS.ProcessEnv = process.env, uid = process.getuid?.() ?? 0): string {
  if (uid === 0) return '/var/lib/globalfs';
  const dataHome = env.XDG_DATA_HOME;
  // The specification says that a relative path there is invalid and to be ignored.
  const base = dataHome?.startsWith('/') === true ? dataHome : join(homedir(), '.local', 'share');
  return join(base, 'globalfs');
}

/** Makes the directory, for its owner only. */
export function makeStateDir(stateDir: string): void {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  } catch (thrown) {
    const { code, message } = toGfsError(thrown);
    throw problem(
      code,
      'cannot make the state directory',
      message,
      'choose another with --state DIR',
      thrown,
    );
  }
}

const ownerPath = (stateDir: string): string => join(stateDir, 'owner.json');

/** Who has, or had, the directory; undefined when nobody ever did or when we may not look. */
export function readOwner(stateDir: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(ownerPath(stateDir), 'utf8')) as Owner;
  } catch {
    return undefined; // absent, not ours, or cut off by a crash while it was written: no owner is known
  }
}

/** The owner, if its process still runs. */
export function runningOwner(stateDir: string): Owner | undefined {
  const owner = readOwner(stateDir);
  return owner !== undefined && isRunning(owner) ? owner : undefined;
}

function inUse(stateDir: string): never {
  const owner = readOwner(stateDir);
  const mountpoint = owner?.mountpoint ?? null;
  const who = owner === undefined ? 'another process' : `process ${owner.pid} (globalfs ${owner.command})`;
  throw problem(
    'EBUSY',
    `the state directory is in use by ${who}${mountpoint === null ? '' : `, mounted at ${mountpoint}`}`,
    stateDir,
    mountpoint === null
      ? 'wait until it ends, or choose another with --state DIR'
      : `run 'globalfs umount ${mountpoint}', or choose another with --state DIR`,
  );
}

export interface StateClaim {
  release(): void;
}

/**
 * Makes this process the owner of the directory until `release` or its end: the lock (flock) ends with the
 * process, so a crash leaves none behind.
 * @throws GfsError EBUSY naming pid and mount point of the owner
 */
export async function claimState(
  stateDir: string,
  command: string,
  mountpoint: string | null,
): Promise<StateClaim> {
  const { native } = await import('../core/native.js');
  const fd = openSync(ownerPath(stateDir), constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    if (!native.tryLock(fd)) inUse(stateDir);
    const owner: Owner = {
      pid: process.pid,
      startTicks: processId(process.pid)?.startTicks ?? 0,
      mountpoint,
      command,
      startedAt: new Date().toISOString(),
    };
    ftruncateSync(fd);
    writeSync(fd, `${JSON.stringify(owner)}\n`, 0);
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
  return { release: () => closeSync(fd) };
}
