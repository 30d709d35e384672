import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { GfsError } from '../../core/errors.js';

export interface ServerProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Takes its standard output and error. */
  readonly logFile: string;
  /** False: the kernel ends it with this process, whatever ends that (setpriv --pdeathsig). */
  readonly outlivesUs: boolean;
}

/** A server in the foreground of its own process, started here and ended by its pid. */
export class ServerProcess {
  readonly pid: number;
  /** Resolves when it has ended, with how: a signal's name or `exit code N`. */
  readonly exit: Promise<string>;
  readonly #child: ChildProcess;
  #ended: string | undefined;

  private constructor(child: ChildProcess, pid: number, exit: Promise<string>) {
    this.#child = child;
    this.pid = pid;
    this.exit = exit;
    void exit.then((how) => (this.#ended = how));
  }

  /** @throws GfsError CONFIG when the program cannot be started */
  static async start(options: ServerProcessOptions): Promise<ServerProcess> {
    const [command, args] = options.outlivesUs
      ? [options.command, options.args]
      : ['setpriv', ['--pdeathsig', 'KILL', '--', options.command, ...options.args]];
    const log = openSync(options.logFile, 'a', 0o600);
    try {
      const child = spawn(command, args, {
        stdio: ['ignore', log, log],
        detached: options.outlivesUs,
        env: { ...process.env, ...options.env },
      });
      const exit = new Promise<string>((resolve) =>
        child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`)),
      );
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve);
        child.once('error', reject);
      });
      if (options.outlivesUs) child.unref();
      if (child.pid === undefined) throw new Error('no process id');
      return new ServerProcess(child, child.pid, exit);
    } catch (thrown) {
      throw new GfsError('CONFIG', `cannot start ${options.command}: ${String(thrown)}`, { cause: thrown });
    } finally {
      closeSync(log);
    }
  }

  /** How it ended; undefined while it runs. */
  get ended(): string | undefined {
    return this.#ended;
  }

  /** Stops it in its tracks (SIGSTOP): connections stay open, nothing is answered. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** SIGKILL, which ends a frozen one, too; resolves when the process is gone. */
  async kill(): Promise<void> {
    if (this.#ended !== undefined) return;
    this.#child.kill('SIGKILL');
    await this.exit;
  }
}

/** Ports of loopback that are free now. Somebody else may take one before it is used: then start again. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    ports.push((server.address() as AddressInfo).port);
  }
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  return ports;
}
