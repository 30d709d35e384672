import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GlobalFs, untilIdle } from './contestants.js';
import type { Tools } from './workload.js';

/** The goal, in bytes for each inode that the kernel and the process know. */
const GOAL_BYTES = 300;
const DIRECTORY_ENTRIES = 10_000;

/** Sizes of /proc/PID/status, in bytes. `RssFile` holds what LMDB maps: page cache, which the kernel may take back. */
export interface Resident {
  readonly anonymous: number;
  readonly total: number;
}

export interface MemoryReport {
  readonly inodes: number;
  readonly before: Resident;
  /** After they were made, and everything was stored. */
  readonly made: Resident;
  /** After each of them was looked up, so that the kernel knows them all. */
  readonly known: Resident;
  readonly bytesEach: Resident;
  readonly goalBytes: number;
  readonly met: boolean;
  readonly makeSeconds: number;
  readonly statSeconds: number;
}

/** Makes files without content in directories of 10,000, and looks at each of them. */
export async function measureMemory(
  globalfs: GlobalFs,
  tools: Tools,
  progress: (text: string) => void,
): Promise<MemoryReport> {
  const { inodes } = tools.scale;
  const directories = Math.ceil(inodes / DIRECTORY_ENTRIES);
  const root = join(globalfs.directory, 'inodes');
  const each = async (command: string): Promise<number> => {
    let seconds = 0;
    for (let i = 0; i < directories; i++) {
      progress(`memory: ${command}, ${i * DIRECTORY_ENTRIES} of ${inodes} inodes`);
      const directory = join(root, `d${i}`);
      if (command === 'mknod') await tools.run('mkdir', ['-p', directory]);
      seconds += await tools.load(command, directory, Math.min(inodes, DIRECTORY_ENTRIES));
    }
    await globalfs.stored();
    await untilIdle(globalfs);
    return seconds;
  };
  const before = residentOf(globalfs.pid);
  const makeSeconds = await each('mknod');
  const made = residentOf(globalfs.pid);
  const statSeconds = await each('stat');
  const known = residentOf(globalfs.pid);
  const bytesEach = {
    anonymous: (known.anonymous - before.anonymous) / inodes,
    total: (known.total - before.total) / inodes,
  };
  const met = bytesEach.anonymous <= GOAL_BYTES;
  return { inodes, before, made, known, bytesEach, goalBytes: GOAL_BYTES, met, makeSeconds, statSeconds };
}

function residentOf(pid: number | undefined): Resident {
  const status = readFileSync(`/proc/${pid ?? 0}/status`, 'latin1');
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? NaN) * 1024;
  return { anonymous: bytes('RssAnon'), total: bytes('VmRSS') };
}
