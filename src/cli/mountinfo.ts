import { readFileSync } from 'node:fs';

/** One line of /proc/self/mountinfo (proc(5)), unescaped, decoded as UTF-8. */
export interface MountEntry {
  /** `major:minor` */
  readonly device: string;
  readonly mountpoint: string;
  readonly readOnly: boolean;
  readonly fsType: string;
  readonly source: string;
}

export interface GlobalfsMount extends MountEntry {
  readonly stateDir: string;
}

export const FS_TYPE = 'fuse.globalfs';
export const SOURCE_PREFIX = 'globalfs:';

/** The kernel writes space, tab, newline and backslash as `\ooo`. */
function unescape(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** @param text the file's bytes, one per character. Lines that are not understood are left out. */
export function parseMountinfo(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    const [, , device, , mountpoint, options] = fields;
    const [fsType, source] = dash < 0 ? [] : fields.slice(dash + 1);
    if (device === undefined || mountpoint === undefined || options === undefined) continue;
    if (fsType === undefined || source === undefined) continue;
    entries.push({
      device,
      mountpoint: unescape(mountpoint),
      readOnly: options.split(',').includes('ro'),
      fsType: unescape(fsType),
      source: unescape(source),
    });
  }
  return entries;
}

export function readMounts(): MountEntry[] {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1'));
}

/** All GlobalFS mounts among `entries`, in the order they were made. */
export function globalfsMounts(entries: readonly MountEntry[] = readMounts()): GlobalfsMount[] {
  return entries
    .filter((entry) => entry.fsType === FS_TYPE && entry.source.startsWith(SOURCE_PREFIX))
    .map((entry) => ({ ...entry, stateDir: entry.source.slice(SOURCE_PREFIX.length) }));
}

/** What is mounted on `path` itself; of several on top of each other, the one that is seen. */
export function mountAt<T extends MountEntry>(path: string, entries: readonly T[]): T | undefined {
  return entries.findLast((entry) => entry.mountpoint === path);
}

/** The mount that `path` (absolute, without `..`) lies in. */
export function mountOf<T extends MountEntry>(path: string, entries: readonly T[]): T | undefined {
  let best: T | undefined;
  for (const entry of entries) {
    const inside =
      path === entry.mountpoint || path.startsWith(entry.mountpoint === '/' ? '/' : `${entry.mountpoint}/`);
    if (inside && entry.mountpoint.length >= (best?.mountpoint.length ?? 0)) best = entry;
  }
  return best;
}
