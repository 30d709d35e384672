import type { Ino } from '../core/index.js';
import { type InodeRecord, S_IFDIR, S_IFMT } from './records.js';

const ROWS_FIRST = 1024;

/** Numbers that a check keeps per inode. Those of `found` are counted from other records. */
const COLUMNS = [
  'ino',
  'mode',
  'flags',
  'nlink',
  'entries',
  'parent',
  'foundNames',
  'foundEntries',
  'foundSubdirectories',
  'foundFlags',
  /** The directory that holds the (first) name; 0 while none was found. */
  'foundParent',
  'orphan',
] as const;
type Column = (typeof COLUMNS)[number];

/**
 * What a check knows of all inodes: 12 numbers each, in columns, and a map from the number to the row.
 * About 150 bytes per inode, 150 MB for a million.
 */
export class FsckTable {
  readonly #rows = new Map<Ino, number>();
  readonly #columns: Record<Column, Float64Array>;

  constructor() {
    const column = (): Float64Array => new Float64Array(ROWS_FIRST);
    this.#columns = Object.fromEntries(COLUMNS.map((name) => [name, column()])) as Record<
      Column,
      Float64Array
    >;
  }

  get size(): number {
    return this.#rows.size;
  }

  add(inode: InodeRecord): void {
    const row = this.#rows.get(inode.ino) ?? this.#rows.size;
    if (row >= this.#columns.ino.length) this.#grow();
    this.#rows.set(inode.ino, row);
    for (const column of ['ino', 'mode', 'flags', 'nlink', 'entries', 'parent'] as const) {
      this.#columns[column][row] = inode[column];
    }
  }

  has(ino: Ino): boolean {
    return this.#rows.has(ino);
  }

  isDirectory(ino: Ino): boolean {
    return this.has(ino) && (this.get(ino, 'mode') & S_IFMT) === S_IFDIR;
  }

  /** 0 for an inode that is not there. */
  get(ino: Ino, column: Column): number {
    const row = this.#rows.get(ino);
    return row === undefined ? 0 : (this.#columns[column][row] ?? 0);
  }

  set(ino: Ino, column: Column, value: number): void {
    const row = this.#rows.get(ino);
    if (row !== undefined) this.#columns[column][row] = value;
  }

  increase(ino: Ino, column: Column, by = 1): void {
    this.set(ino, column, this.get(ino, column) + by);
  }

  inos(): IterableIterator<Ino> {
    return this.#rows.keys();
  }

  #grow(): void {
    for (const name of COLUMNS) {
      const wider = new Float64Array(this.#columns[name].length * 2);
      wider.set(this.#columns[name]);
      this.#columns[name] = wider;
    }
  }
}
