import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GFS_ERROR_CODES, GfsError, type GfsErrorCode } from '../core/errors.js';
import { problem } from './problem.js';
import { runningOwner } from './state-dir.js';

/** Set in the environment of the process that a background mount starts. */
const CHILD_MARK = 'GLOBALFS_BACKGROUND';

/** What the child says, once: it serves, or why it does not. */
export type Report = { kind: 'serving' } | { kind: 'failed'; code: GfsErrorCode; message: string };

/** Warnings of a mount that was made in the background, and what Node itself says when it crashes. */
export const STDERR_FILE = 'stderr.log';

export function isBackgroundChild(): boolean {
  return process.env[CHILD_MARK] !== undefined && process.send !== undefined;
}

/** Tells the waiting parent, and lets go of it. */
export function reportToParent(report: Report): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) return resolve(); // the parent is gone
    process.send(report, undefined, undefined, () => {
      if (process.connected) process.disconnect();
      resolve();
    });
  });
}

function lastLines(path: string, count: number): string {
  return readFileSync(path, 'utf8').trim().split('\n').slice(-count).join('; ');
}

/**
 * Runs this same command once more as a process of its own session, and waits until it serves.
 * @throws GfsError with the child's code and message when it fails; INTERNAL when it dies without a word
 */
export async function mountInBackground(stateDir: string): Promise<void> {
  const stderrPath = join(stateDir, STDERR_FILE);
  // The file of a mount that runs is not touched: this one will be refused.
  const truncate = runningOwner(stateDir) === undefined ? constants.O_TRUNC : 0;
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | truncate;
  const stderr = openSync(stderrPath, flags, 0o600);
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ['ignore', 'ignore', stderr, 'ipc'],
    env: { ...process.env, [CHILD_MARK]: '1' },
  });
  closeSync(stderr);
  const report = await new Promise<Report>((resolve, reject) => {
    child.once('error', reject);
    child.once('message', (message) => resolve(message as Report));
    child.once('exit', (code, signal) =>
      reject(
        problem(
          'INTERNAL',
          `the mount process ended at its start (${signal ?? `exit code ${code}`})`,
          lastLines(stderrPath, 3),
          `look into ${stateDir}/globalfs.log`,
        ),
      ),
    );
  });
  child.unref();
  if (report.kind === 'serving') return;
  const known = (GFS_ERROR_CODES as readonly string[]).includes(report.code);
  throw new GfsError(known ? report.code : 'INTERNAL', report.message);
}
