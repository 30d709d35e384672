import { setTimeout as delay } from 'node:timers/promises';
import { Option } from 'commander';
import { type GfsError, toGfsError } from '../core/errors.js';
import {
  type Findings,
  type OutputFormat,
  parseOutputFormat,
  printLines,
  printNote,
  renderLines,
} from './output.js';
import { oneLine, problem } from './problem.js';
import { formatDuration, parseDurationMs } from './quantities.js';

const DEFAULT_INTERVAL = '2s';
/** Faster is a flicker for people, and a load on the coordinator for nothing. */
const INTERVAL_MS = { min: 100, max: 86_400_000 } as const;

/** What every listing command takes. */
export interface ListingFlags {
  readonly output: string;
  /** true: without a time. */
  readonly watch?: string | true;
}

export function watchOption(interval = DEFAULT_INTERVAL): Option {
  return new Option('-w, --watch [TIME]', `again and again until Ctrl-C (default: every ${interval})`);
}

/** @throws GfsError CONFIG */
export function parseWatchMs(watch: string | true): number {
  const ms = parseDurationMs(watch === true ? DEFAULT_INTERVAL : watch, '--watch');
  if (ms >= INTERVAL_MS.min && ms <= INTERVAL_MS.max) return ms;
  throw problem('CONFIG', 'not a time to wait between two looks', '--watch', 'use 100ms to 1d');
}

/** A terminal, as far as redrawing needs it. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
}

/**
 * The bytes that draw `lines` over what the screen shows: from its corner, each line cut to its width, and
 * nothing of the earlier picture left. (A clear first would flicker.)
 */
export function redraw(lines: readonly string[], { columns, rows }: Screen): string {
  // The last row stays free: a newline there would scroll.
  const room = Math.max(1, rows - 1);
  const shown =
    lines.length <= room ? lines : [...lines.slice(0, room - 1), `(${lines.length - room + 1} more lines)`];
  return `\x1b[H${shown.map((line) => `${[...line].slice(0, columns).join('')}\x1b[K\n`).join('')}\x1b[J`;
}

const told = (thrown: GfsError): string => `globalfs: ${oneLine(thrown.message)}`;

async function picture(format: OutputFormat, found: Findings): Promise<readonly string[]> {
  const lines = await renderLines(format, found);
  const people = format === 'table' || format === 'wide';
  if (found.note !== undefined && people) return [...lines, found.note];
  return found.failure !== undefined && people ? [...lines, '', told(found.failure)] : lines;
}

/** One look after another; the first must succeed, later ones may find nobody for a while. */
async function* looks(
  format: OutputFormat,
  everyMs: number,
  look: () => Promise<Findings>,
): AsyncGenerator<readonly string[]> {
  yield picture(format, await look());
  for (;;) {
    await delay(everyMs);
    try {
      yield await picture(format, await look());
    } catch (thrown) {
      const error = toGfsError(thrown);
      if (!error.retryable && error.code !== 'TIMEOUT') throw error;
      yield [told(error)];
    }
  }
}

/**
 * Prints what `look` finds: once, or with `--watch` again and again. On a terminal each picture replaces the
 * one before; elsewhere they follow each other, YAML documents with `---` between them.
 */
export async function show(flags: ListingFlags, look: () => Promise<Findings>): Promise<void> {
  const format = parseOutputFormat(flags.output);
  if (flags.watch === undefined) {
    const found = await look();
    printLines(await renderLines(format, found));
    if (found.note !== undefined && (format === 'table' || format === 'wide')) printNote(found.note);
    if (found.failure !== undefined) throw found.failure;
    return;
  }
  const everyMs = parseWatchMs(flags.watch);
  const { stdout } = process;
  let first = true;
  for await (const lines of looks(format, everyMs, look)) {
    if (stdout.isTTY) {
      const head = `every ${everyMs < 1000 ? `${everyMs} ms` : formatDuration(everyMs)}, ${new Date().toLocaleTimeString()}`;
      // The first picture gets an empty screen; what was there stays above, in the terminal's history.
      if (first) stdout.write('\n'.repeat(stdout.rows));
      stdout.write(redraw([head, '', ...lines], stdout));
    } else {
      if (!first) printLines([format === 'yaml' ? '---' : '']);
      printLines(lines);
    }
    first = false;
  }
}
