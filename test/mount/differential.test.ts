import { expect, test } from '@jest/globals';
import { isRoot, withMount, type Mounted } from '../support/mounted.js';
import { Random, randomSteps, testSeed } from '../support/random-steps.js';
import { differences, Side } from '../support/scenarios.js';

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

/** Plays steps in fresh directories; returns the text of the differences, or '' */
async function compare({ mounted, plain, mount }: Sides, name: string, steps: string[]): Promise<string> {
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
  const answers = got.map((side) => side.map((answer, i) => comparable(steps[i] ?? '', answer)));
  return differences(steps, answers[0] as string[], answers[1] as string[]);
}

/** Leaves out whatever is not needed for the sides to differ, halving the pieces, until time is up. */
async function shrink(sides: Sides, steps: string[]): Promise<{ steps: string[]; text: string }> {
  const deadline = performance.now() + SHRINK_MS;
  let attempt = 0;
  let best = { steps, text: await compare(sides, `shrink${attempt++}`, steps) };
  if (best.text === '') return best;
  for (let size = Math.ceil(steps.length / 2); size >= 1 && performance.now() < deadline;) {
    let smaller = false;
    for (let at = 0; at < best.steps.length && performance.now() < deadline;) {
      const fewer = [...best.steps.slice(0, at), ...best.steps.slice(at + size)];
      const text = await compare(sides, `shrink${attempt++}`, fewer);
      if (text === '') at += size;
      else {
        best = { steps: fewer, text };
        smaller = true;
      }
    }
    if (size === 1 && !smaller) break;
    size = smaller ? Math.max(size >> 1, 1) : size >> 1;
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
        const text = await compare(sides, 'all', steps);
        if (text === '') return;
        const small = await shrink(sides, steps);
        const told = small.text === '' ? `not repeatable in a fresh directory:\n${text}` : small.text;
        expect(
          `seed ${seed}; ${small.steps.length} steps:\n${small.steps.slice(0, 60).join('\n')}\n${told}`,
        ).toBe('');
      } finally {
        await Promise.all([sides.plain.end(), sides.mount.end()]);
      }
    });
  },
  300_000,
);
