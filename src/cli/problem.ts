import { GfsError, type GfsErrorCode } from '../core/errors.js';

/** An error as the command line tells it, on one line: what happened; where; what to do. */
export function problem(
  code: GfsErrorCode,
  what: string,
  where: string,
  whatToDo: string,
  cause?: unknown,
): GfsError {
  return new GfsError(code, [what, where, whatToDo].filter((part) => part !== '').join('; '), { cause });
}

/** The error as its line on stderr, without the program's name and without line breaks. */
export function oneLine(message: string): string {
  return message.trim().replace(/\s*\n\s*/g, '; ');
}

/** Changes (insert, delete, replace a character) between two words: Levenshtein's distance. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}

/** The word of `known` that was probably meant: at most a third of its letters differ. */
export function suggest(word: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((candidate) => ({ candidate, changes: distance(word, candidate) }))
    .filter(({ candidate, changes }) => changes <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.changes - b.changes);
  return best?.candidate;
}
