import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { GfsError } from '../../core/errors.js';

/** This program, for commands that it runs as processes of their own. */
const PROGRAM = process.argv[1] ?? '';

/** A mount that finds its cache in disorder may take a while; longer is a hang. */
const COMMAND_MS = 120_000;

/** Runs a command of this program to its end. @throws GfsError UNAVAILABLE with what it said when it fails */
export async function runCommand(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [...process.execArgv, PROGRAM, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: COMMAND_MS,
  });
  let said = '';
  child.stderr.on('data', (part: Buffer) => (said += part.toString()));
  const how = await new Promise<string | undefined>((resolve, reject) => {
    child.once('error', reject);
    // Not 'close': a mount in the background has inherited nothing of ours, but who knows.
    child.once('exit', (code, signal) => resolve(code === 0 ? undefined : (signal ?? `exit code ${code}`)));
  });
  if (how === undefined) return;
  const command = `globalfs ${args.slice(0, 2).join(' ')}`;
  throw new GfsError(
    'UNAVAILABLE',
    `'${command}' failed (${how}); ${said.trim().replace(/^globalfs: /, '')}`,
  );
}

export interface BackgroundCommand {
  readonly pid: number;
  /** How it ended; undefined while it runs. */
  ended(): string | undefined;
}

/** Starts a command of this program that outlives us. Its output goes to `logFile`. */
export async function startCommand(args: readonly string[], logFile: string): Promise<BackgroundCommand> {
  const log = openSync(logFile, 'a', 0o600);
  try {
    const child = spawn(process.execPath, [...process.execArgv, PROGRAM, ...args], {
      detached: true,
      stdio: ['ignore', log, log],
    });
    let how: string | undefined;
    child.once('exit', (code, signal) => (how = signal ?? `exit code ${code}`));
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    return { pid: child.pid ?? 0, ended: () => how };
  } finally {
    closeSync(log);
  }
}

export function lastLines(file: string, count: number): string {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-count).join('; ');
}
