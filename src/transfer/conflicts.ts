import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Ino } from '../core/index.js';
import type { CacheLayout } from './cache-layout.js';
import { removeStagingBase } from './staging-base.js';

/**
 * Puts a staged file that cannot be published any more into `conflicts/`: `<ino>-v<the version that it was to
 * replace>-<when>`. Blocks that this node never had are holes in it; `.present` beside it then says which.
 * @param copy the file is open: it stays where it is, and a copy is put aside
 * @returns where it is
 */
export function putAside(
  layout: CacheLayout,
  content: { readonly ino: Ino; readonly version: number; readonly partial: boolean },
  options: { readonly copy: boolean; readonly wallMs: number },
): string {
  const { ino, version, partial } = content;
  const when = new Date(options.wallMs).toISOString().replace(/[:.]/g, '-');
  const path = join(layout.conflicts, `${ino}-v${version}-${when}`);
  if (partial) fs.copyFileSync(layout.presence(ino), `${path}.present`);
  if (options.copy) fs.copyFileSync(layout.staging(ino), path, fs.constants.COPYFILE_FICLONE);
  else fs.renameSync(layout.staging(ino), path);
  if (!options.copy) removeStagingBase(layout, ino);
  return path;
}

/** How many files were put aside and are there still. */
export function countConflicts(layout: CacheLayout): number {
  try {
    return fs.readdirSync(layout.conflicts).filter((name) => !name.endsWith('.present')).length;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw thrown;
  }
}
