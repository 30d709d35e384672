import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { compileC } from './compile.js';

const PROBE_TIMEOUT_MS = 30_000;

/**
 * One process of `posix-probe`: system calls in, results out, as text (posix-probe/probe.h describes the
 * protocol). It works in the directory it is given.
 */
export class Probe {
  readonly #child: ChildProcess;
  readonly #waiting: { line: string; resolve: (answer: string) => void; reject: (error: Error) => void }[] =
    [];
  #errors = '';
  #ended: string | undefined;

  private constructor(program: string, cwd: string) {
    this.#child = spawn(program, { cwd, stdio: ['pipe', 'pipe', 'pipe'], env: { LC_ALL: 'C' } });
    const { stdin, stdout, stderr } = this.#child;
    if (stdin === null || stdout === null || stderr === null) throw new Error('posix-probe has no pipes');
    stderr.on('data', (part: Buffer) => (this.#errors += part.toString()));
    stdin.on('error', () => undefined); // its end is reported below
    stdout.setEncoding('latin1');
    createInterface({ input: stdout }).on('line', (line) => this.#waiting.shift()?.resolve(line));
    this.#child.once('close', (code, signal) => {
      this.#ended = String(signal ?? code);
      const left = this.#waiting.splice(0);
      for (const { line, reject } of left) {
        reject(new Error(`posix-probe ended (${signal ?? code}) at: ${line}\n${this.#errors}`));
      }
    });
  }

  /** False once the process is gone: killed, or ended by a command that it did not understand. */
  get alive(): boolean {
    return this.#ended === undefined;
  }

  static async start(cwd: string): Promise<Probe> {
    return new Probe(await compileC('test/support/posix-probe'), cwd);
  }

  /** Sends one command; resolves with its answer: `= RESULT ...` or `! ERRNO`. */
  ask(line: string): Promise<string> {
    if (this.#ended !== undefined) {
      return Promise.reject(
        new Error(`posix-probe has ended (${this.#ended}) before: ${line}\n${this.#errors}`),
      );
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#child.kill('SIGKILL');
      }, PROBE_TIMEOUT_MS);
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T): void => {
          clearTimeout(timer);
          then(value);
        };
      this.#waiting.push({ line, resolve: settle(resolve), reject: settle(reject) });
      this.#child.stdin?.write(`${line}\n`, 'latin1');
    });
  }

  /** Sends all at once; resolves with the answers in order. */
  askAll(lines: string[]): Promise<string[]> {
    return Promise.all(lines.map((line) => this.ask(line)));
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin?.end();
    await closed;
  }
}
