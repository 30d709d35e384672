import { spawn } from 'node:child_process';

export type Reach = 'alive' | 'stale' | 'hangs';

/** A server that is alive answers in microseconds; a machine that is very busy, within seconds. */
const ANSWER_MS = 5000;

/** What strerror(3) says of ENOTCONN and ECONNABORTED, with which the kernel answers for a server that ended. */
const GONE = /Transport endpoint is not connected|Software caused connection abort/;

/**
 * Whether somebody serves a mount. statfs(2) of a FUSE mount asks its server each time, and waits; a live one
 * answers in microseconds. (stat(2) may be answered from the kernel's cache, long after the server has ended.)
 * The call is made by a process of its own: a thread of ours that hangs in it would keep us from ending.
 */
export function reach(path: string, withinMs = ANSWER_MS): Promise<Reach> {
  return new Promise((resolve, reject) => {
    const child = spawn('stat', ['-f', '-c', '%T', path], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
      detached: true,
    });
    let said = '';
    child.stderr.on('data', (part: Buffer) => (said += part.toString()));
    const timer = setTimeout(() => {
      child.kill('SIGKILL'); // may have to wait for the server too: it is not waited for
      child.unref();
      child.stderr.destroy();
      resolve('hangs');
    }, withinMs);
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(timer);
      resolve(GONE.test(said) ? 'stale' : 'alive');
    });
  });
}
