import { NOTHING, register, type RegisterInput } from '../linearizability/register-model.js';
import type { Operation } from '../linearizability/operation.js';
import type { Random } from '../random-steps.js';
import {
  done,
  how,
  isLost,
  must,
  overlap,
  Register,
  token,
  type Subject,
  type SubjectSettings,
} from './subject.js';
import type { Answer, Worker } from './worker.js';

const PAGE = 4096;
const CELLS_PER_PAGE = PAGE / 32;

type Page = Register<string, RegisterInput, string>;
type PageOperation = Operation<RegisterInput, string>;

/**
 * A file whose whole content is written and read. Every page is a register: one page is read and written as
 * one, while a longer read may see a later write in its later pages, on a local disk too.
 */
export class FileSubject implements Subject {
  readonly name: string;
  readonly #settings: SubjectSettings;
  readonly #pages: Page[];
  /** Reads of what no writer has written, with why. */
  readonly #torn: { readonly worker: Worker; readonly answer: Answer }[] = [];
  readonly #replaced: boolean;

  /** @param replaced new contents come by rename, else they are written in place */
  constructor(settings: SubjectSettings, pages: number, replaced: boolean) {
    this.name = settings.path;
    this.#settings = settings;
    this.#replaced = replaced;
    this.#pages = Array.from(
      { length: pages },
      (_, i) => new Register(`${settings.path}, page ${i}`, register),
    );
  }

  get #length(): number {
    return this.#pages.length * PAGE;
  }

  get size(): number {
    return this.#pages[0]?.operations.length ?? 0;
  }

  async prepare(worker: Worker): Promise<void> {
    // The first content: a reader needs no case for a file that is shorter.
    const value = token();
    const answer = await must(worker, 'write-sync', 'fresh', this.name, value, this.#length);
    for (const page of this.#pages) page.add(worker, { kind: 'write', value }, answer, '');
  }

  async work(worker: Worker, random: Random): Promise<void> {
    if (random.chance(60)) return this.#read(worker, random);
    const value = token();
    const sync = this.#settings.sync || random.chance(10) ? '-sync' : '';
    const words = this.#replaced
      ? [`replace${sync}`, this.name, value, this.#length, `${this.name}.new${value}`]
      : [`write${sync}`, how(random), this.name, value, this.#length];
    const answer = await done(this.#settings, worker, ...words);
    for (const page of this.#pages) page.add(worker, { kind: 'write', value }, answer, '');
  }

  async #read(worker: Worker, random: Random): Promise<void> {
    // Only the name tells a reader of a new file.
    const words = this.#replaced ? ['read', 'fresh', this.name] : ['read', how(random), this.name];
    const mapped = random.chance(15) ? ['map-read', this.name, this.#length] : words;
    this.#seen(worker, await done(this.#settings, worker, ...mapped));
  }

  async inspect(worker: Worker): Promise<void> {
    this.#seen(worker, await done(this.#settings, worker, 'read', 'fresh', this.name));
  }

  #seen(worker: Worker, answer: Answer): void {
    if (isLost(answer)) return;
    const values = answer.outcome === 'ok' ? this.#valuesOf(answer.result) : undefined;
    if (values === undefined) {
      this.#torn.push({ worker, answer });
      return;
    }
    values.forEach((value, i) => this.#pages[i]?.add(worker, { kind: 'read' }, answer, value));
  }

  /** The value of each page; undefined where a page is a mixture, or the length is wrong. */
  #valuesOf(result: string): string[] | undefined {
    if (!result.startsWith('torn:')) {
      return result === NOTHING ? undefined : this.#pages.map(() => result);
    }
    const runs = result
      .slice('torn:'.length)
      .split(',')
      .filter((run) => run !== '')
      .map((run) => run.split('@'))
      .map(([value = '', cell]) => ({ value, page: Number(cell) / CELLS_PER_PAGE }));
    if (runs.some(({ value, page }) => value === '?' || !Number.isInteger(page))) return undefined;
    return this.#pages.map((_, i) => runs.findLast(({ page }) => page <= i)?.value ?? '?');
  }

  problems(): string[] {
    const torn = this.#torn.filter(({ worker, answer }) => !this.#isMixed(worker, answer));
    return [
      ...torn.map(({ worker, answer: { words, outcome, result, beganNs, endedNs } }) => {
        const ms = `[${beganNs / 1e6} .. ${endedNs / 1e6}]`;
        return `${this.name}: ${ms} ${worker.name}: ${words} -> ${outcome} ${result}`;
      }),
      ...this.#pages.flatMap((page) =>
        page.problems(this.#replaced ? undefined : withoutEarly(page.operations)),
      ),
    ];
  }

  /**
   * A kernel copies from a page without locking it: who reads while another process of the same machine writes may
   * see a part of each, within a page too, on a local disk as well.
   */
  #isMixed(worker: Worker, { result, beganNs, endedNs }: Answer): boolean {
    if (!result.startsWith('torn:') || result.includes('length=') || result.includes('?')) return false;
    const read = { process: worker.name, callNs: beganNs, returnNs: endedNs };
    const operations = this.#pages[0]?.operations ?? [];
    return operations.some((each) => each.input.kind === 'write' && overlap(each, read));
  }

  histories(): unknown {
    return this.#pages.map((page) => page.operations);
  }
}

/**
 * Without the reads that saw a write of their own mount before it had ended. A FUSE kernel puts what is written
 * into its pages first, and asks the filesystem to write it then (fuse_perform_write in linux/fs/fuse/file.c): all of
 * that machine see it at once, while the filesystem may still have to wait for another machine's lease, which
 * goes on reading what was there before.
 */
function withoutEarly(operations: readonly PageOperation[]): PageOperation[] {
  const writes = new Map(
    operations.flatMap((each) => (each.input.kind === 'write' ? [[each.input.value, each] as const] : [])),
  );
  return operations.filter((each) => {
    const written = each.input.kind === 'read' ? writes.get(each.output ?? '') : undefined;
    return written === undefined || !overlap(written, each);
  });
}
