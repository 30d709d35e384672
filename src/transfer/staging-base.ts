import * as fs from 'node:fs';
import type { Ino } from '../core/index.js';
import type { CacheLayout } from './cache-layout.js';
import { removeFile } from './cache-layout.js';

/**
 * Which version a staged file will replace, in a sidecar of decimal digits: after a crash that decides whether
 * somebody else has published another one meanwhile. New files have none: they replace version 0. It is
 * written before the file is staged, and goes after the file has left: one without a file means nothing.
 */
export function writeStagingBase(layout: CacheLayout, ino: Ino, version: number): void {
  if (version === 0) removeStagingBase(layout, ino);
  else fs.writeFileSync(layout.stagingBase(ino), String(version), { mode: 0o600 });
}

/** @returns 0 without a sidecar; NaN for one that makes no sense, which then matches no version */
export function readStagingBase(layout: CacheLayout, ino: Ino): number {
  try {
    const text = fs.readFileSync(layout.stagingBase(ino), 'latin1');
    return /^[0-9]+$/.test(text) ? Number(text) : NaN;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw thrown;
  }
}

export function removeStagingBase(layout: CacheLayout, ino: Ino): void {
  removeFile(layout.stagingBase(ino));
}
