import { GfsError } from '../core/index.js';

export const cancelled = (signal: AbortSignal | undefined): GfsError =>
  new GfsError('CANCELLED', 'the caller gave up', { cause: signal?.reason });

/** @throws GfsError CANCELLED */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw cancelled(signal);
}

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

const nothing = (): void => undefined;

/**
 * Calls `then` when the signal aborts; the function it returns takes that back. A signal gets one listener,
 * however many requests share it: Node warns of a leak from the eleventh on.
 */
export function whenAborted(signal: AbortSignal | undefined, then: () => void): () => void {
  if (signal === undefined) return nothing;
  let all = waiting.get(signal);
  if (all === undefined) {
    const made = new Set<() => void>();
    signal.addEventListener('abort', () => made.forEach((call) => call()), { once: true });
    waiting.set(signal, made);
    all = made;
  }
  const those = all;
  those.add(then);
  return () => void those.delete(then);
}
