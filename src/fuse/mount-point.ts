import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { GfsError, native, toGfsError } from '../core/index.js';

/** MS_* of mount(2) that a user may ask for by name. */
const KERNEL_FLAGS: Readonly<Record<string, number>> = {
  ro: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  sync: 16,
  dirsync: 128,
  noatime: 1024,
  nodiratime: 2048,
};
const MNT_DETACH = 2;
const FUSE_TYPE = 'fuse.globalfs';

export interface MountRequest {
  readonly mountpoint: string;
  /** Shown as the first word of /proc/self/mountinfo's source. */
  readonly source: string;
  readonly allowOther: boolean;
  readonly maxReadBytes: number;
  /** `ro`, `nosuid`, `nodev`, ... */
  readonly kernelOptions: readonly string[];
}

/** Mounts and returns the descriptor to serve: by mount(2) as root, else through `fusermount3`. */
export async function mountFuse(request: MountRequest): Promise<number> {
  const fuseOptions = ['default_permissions', `max_read=${request.maxReadBytes}`];
  if (request.allowOther) fuseOptions.push('allow_other');
  if (process.geteuid?.() === 0) {
    const flags = request.kernelOptions.reduce((sum, name) => sum | (KERNEL_FLAGS[name] ?? 0), 0);
    const options = ['rootmode=40000', 'user_id=0', 'group_id=0', ...fuseOptions].join(',');
    try {
      return native.mountFuse(request.source, request.mountpoint, FUSE_TYPE, flags, options);
    } catch (thrown) {
      const cause = toGfsError(thrown);
      throw new GfsError(cause.code, `cannot mount on ${request.mountpoint}: ${cause.message}`, { cause });
    }
  }
  const options = [
    ...fuseOptions,
    `fsname=${request.source.replace(/[\\,]/g, '\\$&')}`,
    'subtype=globalfs',
    ...request.kernelOptions,
  ];
  return mountByHelper(request.mountpoint, options);
}

/** `fusermount3` mounts with its setuid bit, and sends the descriptor over the socket of _FUSE_COMMFD. */
async function mountByHelper(mountpoint: string, options: readonly string[]): Promise<number> {
  const [ours, theirs] = native.socketPair();
  try {
    const helper = spawn('fusermount3', ['-o', options.join(','), '--', mountpoint], {
      stdio: ['ignore', 'ignore', 'pipe', theirs],
      env: { ...process.env, _FUSE_COMMFD: '3' },
    });
    const said: Buffer[] = [];
    helper.stderr?.on('data', (chunk: Buffer) => said.push(chunk));
    const exit = await new Promise<number | null>((resolve, reject) => {
      helper.once('error', reject);
      helper.once('close', resolve);
    });
    const fd = exit === 0 ? native.receiveFd(ours) : -1;
    if (fd < 0) {
      const why = Buffer.concat(said).toString().trim() || `exit code ${exit}`;
      throw new GfsError('EPERM', `fusermount3 could not mount on ${mountpoint}: ${why}`);
    }
    return fd;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new GfsError('ENOSYS', 'fusermount3 was not found; install it (Debian: apt-get install fuse3)', {
        cause: thrown,
      });
    }
    throw thrown;
  } finally {
    closeSync(ours);
    closeSync(theirs);
  }
}

/**
 * Takes the mount off its place. With files open it is detached: gone from the tree at once, ended when
 * the last of them is closed.
 */
export async function unmountFuse(mountpoint: string, options: { lazy: boolean }): Promise<void> {
  if (process.geteuid?.() === 0) {
    try {
      native.unmount(mountpoint, options.lazy ? MNT_DETACH : 0);
    } catch (thrown) {
      const cause = toGfsError(thrown);
      throw new GfsError(cause.code, `cannot unmount ${mountpoint}: ${cause.message}`, { cause });
    }
    return;
  }
  const args = ['-u', ...(options.lazy ? ['-z'] : []), '--', mountpoint];
  const helper = spawn('fusermount3', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const said: Buffer[] = [];
  helper.stderr.on('data', (chunk: Buffer) => said.push(chunk));
  const exit = await new Promise<number | null>((resolve, reject) => {
    helper.once('error', reject);
    helper.once('close', resolve);
  });
  if (exit !== 0) {
    const why = Buffer.concat(said).toString().trim();
    throw new GfsError(why.includes('busy') ? 'EBUSY' : 'EIO', `cannot unmount ${mountpoint}: ${why}`);
  }
}
