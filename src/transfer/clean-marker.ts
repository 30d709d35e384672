import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { native } from '../core/index.js';

/** What the last run left when it ended in an orderly way; the marker is taken away, for this run may crash. */
export function takeCleanMarker(path: string): { totalBytes: number } | undefined {
  let text: string;
  try {
    text = fs.readFileSync(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
  fs.unlinkSync(path);
  const totalBytes = Number(text);
  return Number.isFinite(totalBytes) && text !== '' ? { totalBytes } : undefined;
}

/**
 * Says that the last run ended in an orderly way. All files of the cache are on the disk before it is: it
 * must be true also when the power fails right after.
 */
export async function writeCleanMarker(path: string, totalBytes: number): Promise<void> {
  const directory = fs.openSync(dirname(path), 'r');
  try {
    await native.syncfs(directory);
  } finally {
    fs.closeSync(directory);
  }
  const fd = fs.openSync(path, 'w', 0o600);
  try {
    fs.writeSync(fd, String(totalBytes));
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
