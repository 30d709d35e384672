import { problem } from './problem.js';

/** From the fewest lines to the most; each level has those before it too. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * The level that `--log-level` says; else what a person at a terminal wants to see, or a file to hold.
 * @throws GfsError CONFIG
 */
export function planLogLevel(said: string | undefined, toTerminal: boolean): LogLevel {
  if (said === undefined) return toTerminal ? 'warn' : 'info';
  const level = LOG_LEVELS.find((known) => known === said);
  if (level !== undefined) return level;
  throw problem('CONFIG', `not a log level: '${said}'`, '--log-level', `use ${LOG_LEVELS.join(', ')}`);
}
