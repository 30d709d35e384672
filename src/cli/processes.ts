import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A process, told apart from a later one that got the same number. */
export interface ProcessId {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: its start, in clock ticks since boot. */
  readonly startTicks: number;
}

export interface Holder {
  readonly pid: number;
  readonly command: string;
}

/** Reads a /proc file of a process that may be gone or not ours; undefined then. */
function procFile(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1');
  } catch {
    return undefined; // the process ended meanwhile, or belongs to somebody else
  }
}

function procLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined; // as above
  }
}

function procDir(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // as above
  }
}

/** State letter and start of a process, from the text of /proc/<pid>/stat; its name may hold anything. */
export function parseStat(text: string): { state: string; startTicks: number } | undefined {
  // After the name's last parenthesis: state is field 3, starttime field 22 (proc(5)).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  const startTicks = Number(fields[22 - 3]);
  return state === undefined || !Number.isFinite(startTicks) ? undefined : { state, startTicks };
}

export function processId(pid: number): ProcessId | undefined {
  const stat = parseStat(procFile(pid, 'stat') ?? '');
  return stat === undefined ? undefined : { pid, startTicks: stat.startTicks };
}

/** Whether that very process still runs. A zombie has closed all it had: it has ended. */
export function isRunning(id: ProcessId): boolean {
  const stat = parseStat(procFile(id.pid, 'stat') ?? '');
  return stat !== undefined && stat.startTicks === id.startTicks && stat.state !== 'Z' && stat.state !== 'X';
}

function holds(pid: number, mountpoint: string): boolean {
  const inside = (path: string | undefined): boolean =>
    path !== undefined && (path === mountpoint || path.startsWith(`${mountpoint}/`));
  if (['cwd', 'root', 'exe'].some((link) => inside(procLink(`/proc/${pid}/${link}`)))) return true;
  if (procDir(`/proc/${pid}/fd`).some((fd) => inside(procLink(`/proc/${pid}/fd/${fd}`)))) return true;
  const maps = procFile(pid, 'maps') ?? '';
  return Buffer.from(maps, 'latin1').toString('utf8').includes(` ${mountpoint}/`);
}

/** Processes with a file, directory or mapping of `mountpoint` open, as far as we may look; `max` at most. */
export function holdersOf(mountpoint: string, max: number): Holder[] {
  const holders: Holder[] = [];
  for (const entry of procDir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid || !holds(pid, mountpoint)) continue;
    holders.push({ pid, command: (procFile(pid, 'comm') ?? '?').trim() });
    if (holders.length === max) break;
  }
  return holders;
}
