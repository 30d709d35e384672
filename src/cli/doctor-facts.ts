import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  linkSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { statfs } from 'node:fs/promises';
import { release } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { NativeAddon } from '../core/native.js';
import type { Facts } from './doctor-checks.js';
import { globalfsMounts, mountOf, readMounts } from './mountinfo.js';
import { reach } from './reach.js';

const CAP_SYS_ADMIN_BIT = 21n;

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // a file that is not there, or not ours to read, says nothing
  }
}

function succeeds(attempt: () => void): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false; // the question was whether it can be done
  }
}

async function loadAddon(): Promise<{ native: NativeAddon | undefined; error: string | null }> {
  try {
    return { native: (await import('../core/native.js')).native, error: null };
  } catch (thrown) {
    return { native: undefined, error: (thrown as Error).message.split('\n')[0] ?? 'does not load' };
  }
}

function fuseDevice(): Facts['fuseDevice'] {
  if (!existsSync('/dev/fuse')) return 'missing';
  return succeeds(() => closeSync(openSync('/dev/fuse', 'r+'))) ? 'usable' : 'denied';
}

/** Whether `CapEff` of /proc/<pid>/status holds CAP_SYS_ADMIN. */
export function hasSysAdmin(status: string): boolean {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return ((BigInt(`0x${hex}`) >> CAP_SYS_ADMIN_BIT) & 1n) === 1n;
}

function findFusermount(): Facts['fusermount'] {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const path = folders
    .map((folder) => join(folder, 'fusermount3'))
    .find((candidate) => existsSync(candidate));
  return path === undefined ? null : { path, setuid: (statSync(path).mode & 0o4000) !== 0 };
}

/** The hard limit: Node raises its soft limit to it at start. */
export function openFilesMax(limits: string): number {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  return hard === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(hard ?? 0);
}

function nearestExisting(path: string): string {
  return existsSync(path) || path === '/' ? path : nearestExisting(dirname(path));
}

function tryLinks(
  directory: string,
  native: NativeAddon | undefined,
): { reflink: boolean | null; hardLink: boolean } {
  const scratch = mkdtempSync(join(directory, '.doctor-'));
  try {
    const source = join(scratch, 'a');
    writeFileSync(source, Buffer.alloc(4096, 1));
    const hardLink = succeeds(() => linkSync(source, join(scratch, 'b')));
    if (native === undefined) return { reflink: null, hardLink };
    const from = openSync(source, 'r');
    const to = openSync(join(scratch, 'c'), 'w');
    const reflink = succeeds(() => native.cloneRange(from, 0, to, 0, 4096));
    closeSync(from);
    closeSync(to);
    return { reflink, hardLink };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

async function stateFacts(path: string, native: NativeAddon | undefined): Promise<Facts['state']> {
  const exists = existsSync(path);
  const place = nearestExisting(path);
  const disk = await statfs(place);
  const writable = succeeds(() => accessSync(place, constants.W_OK));
  return {
    path,
    exists,
    writable,
    fsType: mountOf(place, readMounts())?.fsType ?? 'unknown',
    freeBytes: disk.bavail * disk.bsize,
    totalBytes: disk.blocks * disk.bsize,
    freeInodes: disk.ffree,
    ...(exists && writable ? tryLinks(path, native) : { reflink: null, hardLink: null }),
  };
}

async function staleMounts(): Promise<string[]> {
  const mountpoints = globalfsMounts().map(({ mountpoint }) => mountpoint);
  const reached = await Promise.all(mountpoints.map((mountpoint) => reach(mountpoint)));
  return mountpoints.filter((_, i) => reached[i] === 'stale');
}

export async function gatherFacts(stateDir: string): Promise<Facts> {
  const { native, error } = await loadAddon();
  return {
    nodeVersion: process.version,
    addonError: error,
    kernelRelease: release(),
    fuseDevice: fuseDevice(),
    uid: process.getuid?.() ?? 0,
    sysAdmin: hasSysAdmin(readText('/proc/self/status')),
    fusermount: findFusermount(),
    userAllowOther: /^\s*user_allow_other\s*$/m.test(readText('/etc/fuse.conf')),
    state: await stateFacts(stateDir, native),
    openFilesMax: openFilesMax(readText('/proc/self/limits')),
    staleMounts: await staleMounts(),
  };
}
