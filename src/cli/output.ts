import { Option } from 'commander';
import { exitCodeOf, toGfsError } from '../core/errors.js';
import { oneLine, problem } from './problem.js';

export const OUTPUT_FORMATS = ['table', 'json'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

export function parseOutputFormat(text: string): OutputFormat {
  if (text === 'table' || text === 'json') return text;
  throw problem('CONFIG', `not an output format: '${text}'`, '-o', "use 'table' or 'json'");
}

export function outputOption(): Option {
  return new Option('-o, --output <FORMAT>', 'table or json').default('table');
}

/** Control characters of a file name must not reach the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Columns that fit their longest cell, two spaces between them. */
export function tableLines(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows].map((row) => row.map(printable));
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** `name  value` lines, for one thing with many properties. */
export function propertyLines(properties: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...properties.map(([name]) => name.length));
  return properties.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}`);
}

export function printLines(lines: readonly string[]): void {
  for (const line of lines) console.log(line);
}

export function printJson(value: unknown): void {
  console.log(JSON.stringify(value, undefined, 2));
}

/** What a person at the terminal should know, apart from the result. */
export function printNote(text: string): void {
  console.error(`globalfs: ${oneLine(text)}`);
}

/** Tells an error on one line of stderr and returns the exit code for it. */
export function printError(thrown: unknown): number {
  const error = toGfsError(thrown);
  console.error(`globalfs: ${printable(oneLine(error.message))}`);
  return exitCodeOf(error.code);
}

/** A reader that closes early (`| head`) ends the output, not the program with an error. */
export function endQuietlyOnClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
