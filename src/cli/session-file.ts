import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SessionRef } from '../coordinator/index.js';

const pathIn = (stateDir: string): string => join(stateDir, 'session.json');

/**
 * The session of the mount that has, or had, this state directory: a process that is killed leaves it behind, and
 * what it holds would be kept for it until the session expires. Whoever has the directory's lock knows that it is
 * gone, and ends it.
 */
export function writeSession(stateDir: string, { id, epoch }: SessionRef): void {
  const path = pathIn(stateDir);
  writeFileSync(`${path}.new`, `${JSON.stringify({ id, epoch })}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** @returns undefined when the last mount ended in order, or nothing sensible is there: it then expires by itself */
export function readSession(stateDir: string): SessionRef | undefined {
  try {
    const { id, epoch } = JSON.parse(readFileSync(pathIn(stateDir), 'utf8')) as Partial<SessionRef>;
    return typeof id === 'string' && typeof epoch === 'number' ? { id, epoch } : undefined;
  } catch {
    return undefined; // absent, or cut off by a power cut
  }
}

export function removeSession(stateDir: string): void {
  rmSync(pathIn(stateDir), { force: true });
}
