import { expect, test } from '@jest/globals';
import { isRoot, withMount, type Mounted } from '../support/mounted.js';
import { Random, randomSteps, testSeed } from '../support/random-steps.js';
import { differences, firstDifference, Side } from '../support/scenarios.js';

/** About 2 ms an operation on both sides: the default takes half a minute. */
const OPERATIONS = Number(process.env.GLOBALFS_TEST_OPS ?? 6000);
const TREE_EVERY = 150;
const REMOUNT_EVERY = 1500;
const SHRINK_MS = 60_000;
const REMOUNT = 'remount';

interface Sides {
  mounted: Mounted;
  plain: Side;
  mount: Side;
}

/** `moved` without atime: a read may or may not set it (relatime, caches), and reads are not told apart here. */
const comparable = (step: string, answer: string): string =>
  step.startsWith('moved ') ? answer.replace(/^(= 0 )a/, '$1') : answer;

interface Outcome {
  /** Index of the first step whose answers differ. */
  at: number | undefined;
  text: string;
}

/** Plays steps in fresh directories. */
async function compare({ mounted, plain, mount }: Sides, name: string, steps: string[]): Promise<Outcome> {
  const ends = steps.flatMap((step, i) => (step === REMOUNT ? [i] : []));
  const got: [string[], string[]] = [[], []];
  let from = 0;
  for (const end of [...ends, steps.length]) {
    const part = steps.slice(from, end);
    const [left, right] = await Promise.all([plain.play(name, part), mount.play(name, part)]);
    got[0].push(...left, '');
    got[1].push(...right, '');
    from = end + 1;
    if (end === steps.length) break;
    await Promise.all([plain.end(), mount.end()]);
    await mounted.restart();
  }
  const [left, right] = got.map((side) => side.map((answer, i) => comparable(steps[i] ?? '', answer)));
  const [expected, real] = [left as string[], right as string[]];
  return { at: firstDifference(steps, expected, real), text: differences(steps, expected, real) };
}

/**
 * Leaves out whatever is not needed for the last step to differ, in halves, quarters, ..., until time is
 * up. Steps after the first difference go at once.
 */
async function shrink(
  sides: Sides,
  steps: string[],
  found: Outcome,
): Promise<{ steps: string[]; text: string }> {
  const deadline = performance.now() + SHRINK_MS;
  let best = { steps: steps.slice(0, (found.at ?? 0) + 1), text: found.text };
  const last = best.steps.at(-1);
  let attempt = 0;
  for (let size = Math.ceil(best.steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let end = best.steps.length - 1; end > 0 && performance.now() < deadline; end -= size) {
      const fewer = [...best.steps.slice(0, Math.max(0, end - size)), ...best.steps.slice(end)];
      const { at, text } = await compare(sides, `shrink${attempt++}`, fewer);
      if (at !== undefined && fewer[at] === last) best = { steps: fewer.slice(0, at + 1), text };
    }
  }
  return best;
}

/** What is done, with the whole tree compared at intervals, and remounts in between. */
function program(seed: number): string[] {
  const random = new Random(seed);
  const steps = ['umask 0', 'chmod . 0777', 'mkdir a 0777', 'mkdir b 0777', 'mkdir a/c 0777'];
  for (let i = 1; i <= OPERATIONS; i++) {
    steps.push(...randomSteps(random));
    if (i % TREE_EVERY === 0) steps.push('tree .');
    if (i % REMOUNT_EVERY === 0) steps.push(REMOUNT, 'umask 0', 'tree .');
  }
  return [...steps, 'tree .'];
}

(isRoot ? test : test.skip)(
  'thousands of random operations give the same results as on a plain directory',
  async () => {
    const seed = testSeed();
    process.stderr.write(`differential: GLOBALFS_TEST_SEED=${seed}\n`);
    await withMount({}, async (mounted) => {
      const sides = { mounted, plain: new Side(mounted.plain), mount: new Side(mounted.mountpoint) };
      try {
        const steps = program(seed);
        const found = await compare(sides, 'all', steps);
        if (found.at === undefined) return;
        const small = await shrink(sides, steps, found);
        const shown = small.steps.slice(-40).join('\n');
        expect(
          `seed ${seed}\n${found.text}\n${small.steps.length} steps suffice, the last:\n${shown}\n${small.text}`,
        ).toBe('');
      } finally {
        await Promise.all([sides.plain.end(), sides.mount.end()]);
      }
    });
  },
  300_000,
);
