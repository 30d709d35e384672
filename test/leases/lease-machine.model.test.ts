import { describe, expect, test } from '@jest/globals';
import { testSeed } from '../support/random-steps.js';
import { RARELY_FOUND, RULES, type Rule, Rules } from './model/rules.js';
import { violationOf } from './model/world.js';

/**
 * A schedule takes 2 to 4 ms. `GLOBALFS_TEST_SCHEDULES=10000` is what a change of the protocol is to be tried
 * with; `GLOBALFS_TEST_SEED` repeats a run, and the seed of a violation repeats that one schedule.
 */
const SCHEDULES = Number(process.env.GLOBALFS_TEST_SCHEDULES ?? 2000);
/** Every rule's breaking is found within so many, from seed 0 on; those that are not rare far sooner. */
const SCHEDULES_TO_FIND = 1500;
const SCHEDULES_TO_FIND_RARE = 10_000;
/** Lines of the trace that are shown of a violation. */
const TRACE_LINES = 60;

function report(seed: number): string {
  const lines: string[] = [];
  const violation = violationOf(seed, new Rules(), (line) => lines.push(line));
  return [`seed ${seed}`, ...lines.slice(-TRACE_LINES), violation ?? 'nothing, the second time'].join('\n');
}

function firstViolation(rules: Rules, from: number, schedules: number): number | undefined {
  for (let seed = from; seed < from + schedules; seed++)
    if (violationOf(seed, rules) !== undefined) return seed;
  return undefined;
}

const ALL_RULES = Object.keys(RULES) as Rule[];
const RARE_TOO = process.env.GLOBALFS_TEST_RARE_RULES !== undefined;

describe('the lease protocol, on a network that delays, cuts and reorders, with clocks that drift', () => {
  test('shows nobody what was overwritten, loses nothing that is durable, and comes to an end', () => {
    const seed = firstViolation(new Rules(), testSeed(), SCHEDULES);
    if (seed !== undefined) throw new Error(report(seed));
  }, 600_000);

  test('a schedule is the same each time', () => {
    const traces = [0, 1].map(() => {
      const lines: string[] = [];
      violationOf(4711, new Rules(), (line) => lines.push(line));
      return lines;
    });
    expect(traces[0]?.length).toBeGreaterThan(50);
    expect(traces[0]).toEqual(traces[1]);
  });
});

describe('each of its rules is needed, and the check finds that it is broken', () => {
  test.each(ALL_RULES.filter((rule) => !RARELY_FOUND.has(rule)))('%s', (rule) => {
    expect(firstViolation(new Rules(rule), 0, SCHEDULES_TO_FIND)).toBeDefined();
  });

  /** These need many schedules: `GLOBALFS_TEST_RARE_RULES=1` looks for them, for some minutes. */
  (RARE_TOO ? test : test.skip).each([...RARELY_FOUND])(
    '%s (rare)',
    (rule) => {
      expect(firstViolation(new Rules(rule), 0, SCHEDULES_TO_FIND_RARE)).toBeDefined();
    },
    600_000,
  );
});
