import { request } from 'node:http';
import { GFS_ERROR_CODES, GfsError, toGfsError, type GfsErrorCode } from '../core/errors.js';
import { controlSocketPath } from './control-socket.js';
import type { FileInfo, FsckReport, GcReport, MountControl, MountStatus } from './mount-service.js';
import { problem } from './problem.js';

/** `status` and `info` are answered from memory; what takes longer is a process that hangs. */
const QUICK_MS = 5000;

interface Answer {
  readonly status: number;
  readonly text: string;
}

function post(
  socketPath: string,
  path: string,
  body: string,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const outgoing = request(
      {
        socketPath,
        path,
        method: 'POST',
        headers,
        agent: false,
        ...(signal === undefined ? {} : { signal }),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function unreachable(thrown: unknown, stateDir: string): GfsError {
  const code = (thrown as NodeJS.ErrnoException).code ?? '';
  if (code === 'EACCES' || code === 'EPERM') {
    return problem(
      'EACCES',
      'the mount belongs to another user',
      stateDir,
      'run this as that user or as root',
      thrown,
    );
  }
  if (code === 'ABORT_ERR') {
    return problem(
      'TIMEOUT',
      'the mount does not answer',
      stateDir,
      `look into ${stateDir}/globalfs.log`,
      thrown,
    );
  }
  if (['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(code)) {
    return problem('UNAVAILABLE', 'no mount process answers', stateDir, 'see globalfs status', thrown);
  }
  return toGfsError(thrown);
}

/** The far end of `serveControl`. An error of the mount arrives as the GfsError that it was. */
export class ControlClient implements MountControl {
  readonly #stateDir: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  async #call(path: string, body: object, timeoutMs?: number): Promise<unknown> {
    let answer: Answer;
    try {
      const socket = controlSocketPath(this.#stateDir);
      try {
        const signal = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
        answer = await post(socket.path, path, JSON.stringify(body), signal);
      } finally {
        socket.release();
      }
    } catch (thrown) {
      throw unreachable(thrown, this.#stateDir);
    }
    const parsed: unknown = JSON.parse(answer.text);
    if (answer.status === 200) return parsed;
    const { code, message } = (parsed as { error: { code: string; message: string } }).error;
    const known = (GFS_ERROR_CODES as readonly string[]).includes(code);
    throw new GfsError(known ? (code as GfsErrorCode) : 'INTERNAL', message);
  }

  async status(withinMs = QUICK_MS): Promise<MountStatus> {
    return (await this.#call('/v1/status', {}, withinMs)) as MountStatus;
  }

  async info(path: string): Promise<FileInfo> {
    return (await this.#call('/v1/info', { path }, QUICK_MS)) as FileInfo;
  }

  async fsck(options: { repair: boolean }): Promise<FsckReport> {
    return (await this.#call('/v1/fsck', options)) as FsckReport;
  }

  async gc(options: { delete: boolean; graceMs: number }): Promise<GcReport> {
    return (await this.#call('/v1/gc', options)) as GcReport;
  }
}
