import { Option } from 'commander';
import { assertNever } from '../core/assert.js';
import { exitCodeOf, type GfsError, toGfsError } from '../core/errors.js';
import type { YamlProblem } from './config/yaml-document.js';
import { oneLine, problem } from './problem.js';

/** `wide` is a table with more columns. */
export const OUTPUT_FORMATS = ['table', 'wide', 'json', 'yaml'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

export function parseOutputFormat(text: string): OutputFormat {
  const format = OUTPUT_FORMATS.find((known) => known === text);
  if (format !== undefined) return format;
  throw problem('CONFIG', `not an output format: '${text}'`, '-o', `use ${OUTPUT_FORMATS.join(', ')}`);
}

export function outputOption(): Option {
  return new Option('-o, --output <FORMAT>', 'table, wide, json or yaml').default('table');
}

/** What a command found: for programs, and for people. */
export interface Findings {
  /** Plain data: what JSON and YAML print. */
  readonly value: unknown;
  /** @param wide with everything that a broad terminal has room for */
  readonly lines: (wide: boolean) => readonly string[];
  /** For people, when there is nothing to list. */
  readonly note?: string | undefined;
  /** What could not be found out; told after the rest. */
  readonly failure?: GfsError;
}

/** The lines that a format makes of it. */
export async function renderLines(format: OutputFormat, findings: Findings): Promise<readonly string[]> {
  switch (format) {
    case 'table':
    case 'wide':
      return findings.lines(format === 'wide');
    case 'json':
      return JSON.stringify(findings.value, undefined, 2).split('\n');
    case 'yaml': {
      const { yamlText } = await import('./config/yaml-document.js');
      // As JSON has it: what is undefined is left out.
      return yamlText(JSON.parse(JSON.stringify(findings.value)))
        .trimEnd()
        .split('\n');
    }
    default:
      return assertNever(format);
  }
}

export async function printFindings(format: OutputFormat, findings: Findings): Promise<void> {
  printLines(await renderLines(format, findings));
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
  if (lines.length > 0) console.log(lines.join('\n'));
}

/**
 * Resolves when everything printed has been taken. A pipe whose reader is slow is full at some point; what is
 * written then waits in this process, and would be lost with `process.exit`.
 */
export async function printed(): Promise<void> {
  // With a closed pipe the callback gets an error: nobody wants the rest.
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))),
  );
}

/** What a person at the terminal should know, apart from the result. */
export function printNote(text: string): void {
  console.error(`globalfs: ${oneLine(text)}`);
}

/** Tells an error on one line of stderr, with the places of a file that it is about, and returns its exit code. */
export function printError(thrown: unknown): number {
  const error = toGfsError(thrown);
  console.error(`globalfs: ${printable(oneLine(error.message))}`);
  const problems = (error.context.problems ?? []) as readonly YamlProblem[];
  for (const line of problems.flatMap(({ excerpt }) => excerpt.split('\n'))) {
    console.error(`  ${printable(line)}`);
  }
  return exitCodeOf(error.code);
}

/** A reader that closes early (`| head`) ends the output, not the program with an error. */
export function endQuietlyOnClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
