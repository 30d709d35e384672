import { isMap, isNode, LineCounter, type Node, parseDocument, type ParsedNode, stringify } from 'yaml';
import { GfsError } from '../../core/errors.js';

/** Keys and indices from the document's root to a value. */
export type YamlPath = readonly (string | number)[];

/** Something wrong at a place of a file. Lines and columns count from 1. */
export interface YamlProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** What is wrong and what to do, in one line. */
  readonly text: string;
  /** The line and, below it, a caret: for terminals. */
  readonly excerpt: string;
}

/** A YAML file's plain value, and where in the file each part of it stands. */
export interface YamlDocument {
  readonly file: string;
  /** Plain objects, arrays, strings, numbers, booleans, null. */
  readonly value: unknown;
  /**
   * A problem of the value at `path`, or of the nearest value around it that the file has.
   * @param at 'key' points to the key of that value, where it has one
   */
  problemAt(path: YamlPath, text: string, at?: 'key' | 'value'): YamlProblem;
}

/** What stands after such a key may be a secret that was written there by mistake: it is not shown. */
const SECRET_VALUE = /((?:secret|password|token)\w*['"]?\s*:\s*)[^\s{].*$/i;

/**
 * @param file its name, for errors
 * @throws GfsError CONFIG for what is no YAML, or has a key twice
 */
export function parseYaml(text: string, file: string): YamlDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problemAtOffset = (offset: number, end: number, what: string): YamlProblem => {
    const { line, col } = lines.linePos(offset);
    const excerpt = excerptOf(text, line, col, end - offset);
    return { file, line, column: col, text: what, excerpt };
  };
  const faults = document.errors.map((error) =>
    problemAtOffset(error.pos[0], error.pos[1], firstLine(error.message)),
  );
  if (faults.length > 0) throw yamlError(faults);
  return {
    file,
    value: document.toJS({ maxAliasCount: 100 }), // against "billion laughs"
    problemAt: (path, what, at = 'value') => {
      const [start, end] = rangeOf(document.contents, path, at);
      return problemAtOffset(start, end, what);
    },
  };
}

/**
 * One error of all that is wrong in a file. Its message is one line: `FILE:LINE:COLUMN: TEXT`;
 * `context.problems` has every one with its excerpt.
 */
export function yamlError(problems: readonly YamlProblem[]): GfsError {
  const lines = problems.map(({ file, line, column, text }) => `${file}:${line}:${column}: ${text}`);
  return new GfsError('CONFIG', lines.join('; '), { context: { problems } });
}

/** A plain value as YAML, ending in a newline; long text stays on its line. */
export function yamlText(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}

function rangeOf(root: ParsedNode | null, path: YamlPath, at: 'key' | 'value'): [number, number] {
  let node: Node | null = root;
  let key: Node | undefined;
  for (const step of path) {
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find(({ key: each }) => String(each) === String(step));
      next = pair?.value;
      if (pair !== undefined && isNode(pair.key)) key = pair.key;
    } else if (node !== null && 'get' in node && typeof node.get === 'function') {
      next = (node.get as (index: unknown, keepNode: true) => unknown).call(node, step, true);
    }
    if (!isNode(next)) return spanOf(key ?? node); // the file does not have it: what is around it
    node = next;
  }
  return spanOf(at === 'key' || isMap(node) ? (key ?? node) : node);
}

function spanOf(node: Node | null): [number, number] {
  const range = node?.range;
  return range === undefined || range === null ? [0, 0] : [range[0], range[1]];
}

function excerptOf(text: string, line: number, column: number, length: number): string {
  const source = text.split('\n')[line - 1]?.replace(/\r$/, '') ?? '';
  const shown = source.replace(SECRET_VALUE, '$1…');
  const from = Math.min(column, shown.length + 1);
  const carets = Math.max(1, Math.min(length, shown.length - from + 1));
  const number = String(line);
  // A tab before the caret stays a tab, so that the caret stands below its character.
  const before = shown.slice(0, from - 1).replace(/[^\t]/g, ' ');
  return `${number} | ${shown}\n${' '.repeat(number.length)} | ${before}${'^'.repeat(carets)}`;
}

const firstLine = (message: string): string => message.split('\n')[0] ?? message;
