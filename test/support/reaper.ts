import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/**
 * A shell beside the test that cleans up when the test cannot: it is told what exists, and acts when its
 * standard input ends, whatever ended the test process (a failure, Ctrl-C, SIGKILL). It runs in a session
 * of its own, so a Ctrl-C at the terminal does not reach it.
 *
 * Lines: `pid N`, `mount PATH`, `dir PATH`; `keep pid N` and the like take one back.
 */
const SCRIPT = `
declare -A pids mounts dirs
while read -r word rest; do
  case "$word" in
    pid) pids[$rest]=1 ;;
    mount) mounts[$rest]=1 ;;
    dir) dirs[$rest]=1 ;;
    gone) unset "pids[$rest]" ;;
  esac
done
for pid in "\${!pids[@]}"; do kill -9 "$pid" 2>/dev/null; done
for mount in "\${!mounts[@]}"; do
  while grep -qF " $mount " /proc/self/mountinfo; do
    umount -l "$mount" 2>/dev/null || fusermount3 -uz "$mount" 2>/dev/null || break
  done
done
for dir in "\${!dirs[@]}"; do rm -rf --one-file-system "$dir"; done
`;

export class Reaper {
  readonly #shell: ChildProcess;

  constructor() {
    this.#shell = spawn('bash', ['-c', SCRIPT], {
      detached: true,
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    this.#shell.stdin?.on('error', () => undefined); // it has ended: nothing is left to tell it
  }

  #say(line: string): void {
    this.#shell.stdin?.write(`${line}\n`);
  }

  /** A process to kill; `processGone` takes it back, since its id may be given to another. */
  process(pid: number): void {
    this.#say(`pid ${pid}`);
  }

  processGone(pid: number): void {
    this.#say(`gone ${pid}`);
  }

  mount(path: string): void {
    this.#say(`mount ${path}`);
  }

  directory(path: string): void {
    this.#say(`dir ${path}`);
  }

  /** Cleans up now, and resolves when all is gone. */
  async finish(): Promise<void> {
    const exited = once(this.#shell, 'exit');
    this.#shell.stdin?.end();
    await exited;
  }
}
