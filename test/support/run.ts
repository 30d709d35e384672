import { spawn } from 'node:child_process';

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  input?: string;
  timeoutMs?: number;
  /** Runs it as this user and group (needs root). */
  asUser?: number;
  /** Exit codes that are no failure besides 0. */
  allow?: number[];
}

export interface RunResult {
  code: number;
  stdout: string;
  stderr: string;
}

const DEFAULT_TIMEOUT_MS = 120_000;

/** Runs a program to its end without blocking this process (it may well serve us nothing meanwhile). */
export async function run(program: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  const [file, argv] = commandLine(program, args, options.asUser);
  const child = spawn(file, argv, {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    stdio: 'pipe',
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => out.push(part));
  child.stderr.on('data', (part: Buffer) => err.push(part));
  child.stdin.on('error', () => undefined); // it may end without reading its input
  child.stdin.end(options.input ?? '');
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status, signal) => resolve(status ?? (signal === 'SIGKILL' ? 137 : 128)));
    });
    const result = {
      code,
      stdout: Buffer.concat(out).toString('latin1'),
      stderr: Buffer.concat(err).toString('latin1'),
    };
    if (code !== 0 && !(options.allow ?? []).includes(code)) {
      const said = `${result.stderr}\n${result.stdout}`.trim().slice(-4000);
      throw new Error(`${program} ${args.join(' ')}: exit code ${code}\n${said}`);
    }
    return result;
  } finally {
    clearTimeout(timer);
  }
}

/** A script for bash that stops at the first failure. */
export function shell(script: string, options: RunOptions = {}): Promise<RunResult> {
  return run('bash', ['-euo', 'pipefail', '-c', script], options);
}

export function commandLine(program: string, args: string[], asUser?: number): [string, string[]] {
  if (asUser === undefined) return [program, args];
  const ids = [`--reuid=${asUser}`, `--regid=${asUser}`, '--clear-groups'];
  return ['setpriv', [...ids, '--', program, ...args]];
}
