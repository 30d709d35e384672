import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { join } from 'node:path';
import { isRoot, type MountSettings, peer } from './mounted.js';
import { Probe } from './probe.js';
import { suiteMount } from './suite-mount.js';

/**
 * A POSIX claim: steps for posix-probe (see posix-probe/probe.h), run in a fresh directory of the mount and
 * in one of a plain local filesystem. Every answer must be the same, to the errno.
 */
export interface Scenario {
  title: string;
  steps: string[];
}

/**
 * Steps are lines; `#` starts a comment line. `{x*255}` repeats text. A step that begins with `@1` runs in
 * a second process; one that begins with `~` is run for its effect, and its answer is not compared.
 */
export function scenario(title: string, text: string): Scenario {
  const steps = text
    .split('\n')
    .map((line) => line.trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.replace(/\{([^*{}]+)\*(\d+)\}/g, (_all, part: string, n: string) => part.repeat(+n)));
  return { title, steps };
}

/** One side: a directory with the processes that work there. */
export class Side {
  readonly root: string;
  #probes: Probe[] = [];

  constructor(root: string) {
    this.root = root;
  }

  async probe(index = 0): Promise<Probe> {
    for (let i = 0; i <= index; i++) {
      if (this.#probes[i]?.alive !== true) this.#probes[i] = await Probe.start(this.root);
    }
    return this.#probes[index] as Probe;
  }

  /** Makes `name` below the root and runs the steps there. */
  async play(name: string, steps: string[]): Promise<string[]> {
    const home = join(this.root, name);
    const first = await this.probe();
    await first.askAll(['reset /', `mkdir ${home} 0755`, `reset ${home}`]);
    await Promise.all(this.#probes.slice(1).map((other) => other.ask(`reset ${home}`)));
    const answers: string[] = [];
    if (steps.every((step) => !step.startsWith('@'))) {
      return first.askAll(steps.map((step) => step.replace(/^~ ?/, '')));
    }
    for (const step of steps) {
      const [, , index, line] = /^(~ ?)?(?:@(\d) )?(.*)$/.exec(step) as unknown as string[];
      const fresh = Number(index ?? 0) >= this.#probes.length;
      const probe = await this.probe(Number(index ?? 0));
      if (fresh) await probe.ask(`reset ${home}`);
      answers.push(await probe.ask(line as string));
    }
    return answers;
  }

  /** Leaves the tree, so that it can be unmounted. */
  async end(): Promise<void> {
    await Promise.all(this.#probes.map((probe) => probe.end()));
    this.#probes = [];
  }
}

const SHOWN_CHARS = 400;
const shown = (text: string): string => (text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text);

/** Where two answers differ, entry by entry for those that list a tree. */
function difference(step: string, plain: string, mount: string): string {
  if (!step.includes('tree ')) return `    plain: ${shown(plain)}\n    mount: ${shown(mount)}`;
  const left = plain.split('\t');
  const right = mount.split('\t');
  return [
    ...left.filter((entry) => !right.includes(entry)).map((entry) => `    plain: ${shown(entry)}`),
    ...right.filter((entry) => !left.includes(entry)).map((entry) => `    mount: ${shown(entry)}`),
  ]
    .slice(0, 20)
    .join('\n');
}

/**
 * Where locks are kept by the filesystem, whether a process or an open file holds one is not said: the kernel takes
 * that from the question (fcntl_getlk, linux/fs/locks.c). Ranges and types are as they should be.
 */
function agree(step: string, plain: string | undefined, mount: string | undefined): boolean {
  const ofd =
    step.includes('F_OFD_GETLK') || (step.includes('F_GETLK') && plain?.includes('owner=ofd') === true);
  const masked = peer === 'cluster' && ofd;
  const told = (answer: string | undefined): string | undefined =>
    masked ? answer?.replace(/ owner=\w+/, '') : answer;
  return step.startsWith('~') || told(plain) === told(mount);
}

/** The first step whose answers differ, or undefined. */
export function firstDifference(steps: string[], plain: string[], mount: string[]): number | undefined {
  const at = steps.findIndex((step, i) => !agree(step, plain[i], mount[i]));
  return at < 0 ? undefined : at;
}

/** The steps whose answers differ, with what came before them; empty when all agree. */
export function differences(steps: string[], plain: string[], mount: string[]): string {
  const parts: string[] = [];
  steps.forEach((step, i) => {
    if (agree(step, plain[i], mount[i])) return;
    const before = steps.slice(Math.max(0, i - 12), i).map((s, k) => {
      return `    ${shown(s)}   ${shown(plain[Math.max(0, i - 12) + k] ?? '').slice(0, 80)}`;
    });
    const context = parts.length === 0 ? `${before.join('\n')}\n` : '';
    parts.push(`${context}>>> ${shown(step)}\n${difference(step, plain[i] ?? '', mount[i] ?? '')}`);
  });
  return parts.slice(0, 12).join('\n');
}

/** Declares one test per scenario; all share one mount. Needs root, since users and devices are made. */
export function conform(suite: string, scenarios: Scenario[], settings: MountSettings = {}): void {
  (isRoot ? describe : describe.skip)(suite, () => {
    let mount: Side | undefined;
    let plain: Side | undefined;
    // Declared before the mount's own: the probes must be gone before it is unmounted.
    afterAll(async () => {
      await Promise.all([mount?.end(), plain?.end()]);
    });
    const mounted = suiteMount(settings);
    beforeAll(() => {
      mount = new Side(mounted().mountpoint);
      plain = new Side(mounted().plain);
    });
    test.each(scenarios.map((s, i) => [s.title, s, `s${i}`] as const))('%s', async (_title, s, name) => {
      const [expected, got] = await Promise.all([plain?.play(name, s.steps), mount?.play(name, s.steps)]);
      expect(differences(s.steps, expected ?? [], got ?? [])).toBe('');
    });
  });
}
