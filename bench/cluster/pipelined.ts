import type { Timed } from './worker-tasks.js';

/** Runs `work` for 0, 1, ... `count - 1`, `inFlight` of them at a time. @throws what the first failure threw */
export async function pipelined(
  { count, inFlight }: { count: number; inFlight: number },
  work: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, count) }, lane));
}

export async function timed(work: () => Promise<void> | void): Promise<Timed> {
  const [startMs, before] = [monotonicMs(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return { startMs, endMs: monotonicMs(), cpuMs: (user + system) / 1000 };
}

/** `performance.now()` counts from the start of the process; this is the same in all of them. */
const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;
