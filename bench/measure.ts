import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { type Contestant, type ContestantName, cpuMs, untilIdle } from './contestants.js';
import type { Scenario, Step, Tools, Turn } from './workload.js';

/** One run of one step by one contestant. */
export interface Sample {
  readonly seconds: number;
  /** CPU time of the serving process meanwhile, its background work for this step included. */
  readonly cpuMs: number;
  /** Requests that reached the process, by opcode. */
  readonly requests: Readonly<Record<string, number>>;
}

/** All runs of one step: of each contestant one for each round, in the order of the rounds. */
export interface Measured {
  readonly step: Step;
  /** The step's own, or the one that includes sealing. */
  readonly title: string;
  readonly settled: boolean;
  readonly samples: ReadonlyMap<ContestantName, Sample[]>;
}

/**
 * Rounds of one scenario. In each round every step is done by all contestants, one after the other, before
 * the next step begins; who begins changes. Each turn ends when its contestant has nothing left to do.
 */
export async function measureScenario(
  scenario: Scenario,
  contestants: readonly Contestant[],
  tools: Tools,
  options: { rounds: number; progress: (text: string) => void },
): Promise<Measured[]> {
  const results = scenario.steps.flatMap((step): Measured[] => {
    const own = { step, title: step.title, settled: false, samples: new Map<ContestantName, Sample[]>() };
    if (step.settledTitle === undefined) return [own];
    return [own, { step, title: step.settledTitle, settled: true, samples: new Map() }];
  });
  const rounds = Array.from({ length: options.rounds }, (_, round) =>
    rotated(contestants, round).map((contestant): Turn => {
      const place = join(contestant.directory, `${scenario.id}-${round + 1}`);
      return { tools, contestant, place };
    }),
  );
  await prepareScenario(scenario, rounds.flat(), tools);
  for (const [round, turns] of rounds.entries()) {
    for (const step of scenario.steps) {
      for (const turn of turns) {
        const { name } = turn.contestant;
        options.progress(`round ${round + 1} of ${options.rounds}: ${step.title}, ${name}`);
        const { own, settled } = await measureStep(step, turn);
        for (const result of results) {
          if (result.step === step) addTo(result.samples, name, result.settled ? settled : own);
        }
      }
    }
    for (const turn of turns) {
      await scenario.cleanUp?.(turn);
      await settle(turn.contestant);
    }
  }
  return results;
}

async function prepareScenario(scenario: Scenario, turns: readonly Turn[], tools: Tools): Promise<void> {
  await scenario.fixtures?.(tools);
  for (const turn of turns) {
    mkdirSync(turn.place);
    await scenario.prepare?.(turn);
    await settle(turn.contestant);
  }
}

async function measureStep(step: Step, turn: Turn): Promise<{ own: Sample; settled: Sample }> {
  const { contestant } = turn;
  if (step.prepare !== undefined) {
    await step.prepare(turn);
    await settle(contestant);
  }
  const before = { requests: await contestant.requests(), cpuMs: cpuMs(contestant.pid) };
  const startMs = performance.now();
  const seconds = await step.measure(turn);
  const runCpuMs = cpuMs(contestant.pid) - before.cpuMs;
  const requests = difference(before.requests, await contestant.requests());
  await contestant.stored();
  const own = { seconds, cpuMs: runCpuMs, requests };
  const settled = {
    seconds: (performance.now() - startMs) / 1000,
    cpuMs: cpuMs(contestant.pid) - before.cpuMs,
    requests,
  };
  await untilIdle(contestant);
  return { own, settled };
}

async function settle(contestant: Contestant): Promise<void> {
  await contestant.stored();
  await untilIdle(contestant);
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const start = by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

function addTo(samples: ReadonlyMap<ContestantName, Sample[]>, name: ContestantName, sample: Sample): void {
  const list = samples.get(name);
  if (list === undefined) (samples as Map<ContestantName, Sample[]>).set(name, [sample]);
  else list.push(sample);
}

function difference(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  const changed = Object.entries(after)
    .map(([name, count]): [string, number] => [name, count - (before[name] ?? 0)])
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a);
  return Object.fromEntries(changed);
}
