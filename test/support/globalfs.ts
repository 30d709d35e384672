import { setTimeout as delay } from 'node:timers/promises';
import { cli, type Mounted } from './mounted.js';
import { run, type RunOptions, type RunResult } from './run.js';

/** Every exit code that the command line documents; the caller looks at it. */
const DOCUMENTED = [1, 2, 3, 4, 5, 6];

/** Runs the command line as a user would. */
export function globalfs(args: string[], options: RunOptions = {}): Promise<RunResult> {
  return run(process.execPath, [cli, ...args], { allow: DOCUMENTED, ...options });
}

/** What `fsck` finds in a state directory that is not mounted; '' when nothing. */
export async function fsckProblems(m: Mounted): Promise<string> {
  const result = await globalfs(['fsck', '--state', m.stateDir, '-o', 'json']);
  const report = JSON.parse(result.stdout) as { problems: unknown[] };
  return report.problems
    .map((found) => JSON.stringify(found))
    .slice(0, 20)
    .join('\n');
}

export interface FileInfo {
  ino: number;
  blocks: { offset: number; bytes: number; hash: string; staged?: boolean }[];
}

export async function infoOf(path: string): Promise<FileInfo> {
  const result = await globalfs(['info', '-o', 'json', path]);
  const [info] = JSON.parse(result.stdout) as FileInfo[];
  if (info === undefined) throw new Error(`no info of ${path}: ${result.stderr}`);
  return info;
}

const STORED_TIMEOUT_MS = 20_000;

/** Waits until all of a file is in the store: an fsync may be content with the node's disk. */
export async function storedInfo(path: string, bytes: number): Promise<FileInfo> {
  const deadline = performance.now() + STORED_TIMEOUT_MS;
  for (;;) {
    const info = await infoOf(path);
    const stored = info.blocks.filter((block) => !block.staged).reduce((sum, block) => sum + block.bytes, 0);
    if (stored === bytes) return info;
    if (performance.now() > deadline) throw new Error(`not stored after ${STORED_TIMEOUT_MS} ms: ${path}`);
    await delay(200);
  }
}
