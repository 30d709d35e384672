import { posix } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { absoluteBytes, argumentBytes, bytesOf, realBytes } from './byte-paths.js';
import { globalfsMounts, mountOf, readMounts } from './mountinfo.js';

/** Where a path of the user's is in a namespace. */
export interface NamespacePath {
  /** Absolute within the namespace, bytes as characters: what AdminApi takes. */
  readonly path: string;
  /** The mount on this machine that it was found in. */
  readonly mountpoint?: string;
}

/** What the path's parents are is asked of the mount, which waits for as long as no coordinator answers. */
const RESOLVE_MS = 2000;

function within(bytes: string): NamespacePath | undefined {
  const all = readMounts().map((entry) => ({
    ...entry,
    original: entry.mountpoint,
    mountpoint: bytesOf(entry.mountpoint),
  }));
  const found = mountOf(bytes, all);
  if (found === undefined || globalfsMounts([found]).length === 0) return undefined;
  const rest = bytes.slice(found.mountpoint.length).replace(/^\/+/, '');
  return { path: `/${rest}`, mountpoint: found.original };
}

/** Symlinks above the last name are followed, where that is possible now. */
async function resolved(path: string): Promise<string> {
  // As it is written, when it is not there, or cannot be looked at: it may be a path of the namespace.
  const written = posix.resolve(bytesOf(process.cwd()), path);
  const asked = absoluteBytes(path).catch(() => written);
  return Promise.race([asked, delay(RESOLVE_MS, written, { ref: false })]);
}

/**
 * A path in a GlobalFS mount of this machine, or, when it is in none, a path of the namespace itself:
 * `/docs/a.txt` is then what a mount at `/globalfs` shows as `/globalfs/docs/a.txt`.
 */
export async function namespacePath(argument: string): Promise<NamespacePath> {
  const bytes = argumentBytes(argument);
  const absolute = await resolved(bytes);
  const inside = within(absolute);
  if (inside !== undefined) return inside;
  // A symlink that leads into a mount from outside is followed.
  const real = await realBytes(bytes).catch(() => absolute);
  return within(real) ?? { path: posix.resolve('/', bytes) };
}
