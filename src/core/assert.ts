import { GfsError } from './errors.js';

/** Ends a `switch` over a closed union: a new member becomes a type error here. */
export function assertNever(value: never): never {
  throw new GfsError('INTERNAL', `unexpected value: ${JSON.stringify(value)}`);
}

/** @throws GfsError INTERNAL when a claim that the code relies on does not hold */
export function invariant(claim: boolean, message: string, context?: Record<string, unknown>): asserts claim {
  if (!claim) throw new GfsError('INTERNAL', message, context === undefined ? {} : { context });
}
