import { describe, expect, test } from '@jest/globals';
import type { Ino } from '../../src/core/index.js';
import { HolderTable } from '../../src/leases/holder-table.js';
import { Random, testSeed } from '../support/random-steps.js';

/** Numbers as the coordinator hands them out: runs, here and there, also beyond 32 bits. */
const INO_STARTS = [1, 4096, 2 ** 31 - 8, 2 ** 32 - 8, 2 ** 40, 2 ** 53 - 64];
const SESSIONS = ['1', '2', '3', '4', '5', '6'];
const STEPS = 60_000;
const MILLION = 1_000_000;

type Reference = Map<string, Map<Ino, number>>;

function pairs(table: HolderTable, inos: readonly Ino[]): string[] {
  const found: string[] = [];
  for (const ino of inos) table.forEach(ino, (session, level) => found.push(`${session} ${ino} ${level}`));
  return found.sort();
}

const pairsOf = (reference: Reference): string[] =>
  [...reference]
    .flatMap(([session, held]) => [...held].map(([ino, level]) => `${session} ${ino} ${level}`))
    .sort();

/** One random change, done to both. */
function change(random: Random, table: HolderTable, reference: Reference, inos: readonly Ino[]): void {
  const session = random.of(SESSIONS);
  const held = reference.get(session);
  if (held === undefined || random.int(600) === 0) {
    table.seat(session);
    reference.set(session, new Map());
    return;
  }
  if (random.int(600) === 0) {
    table.unseat(session);
    reference.delete(session);
    return;
  }
  const ino = random.of(inos);
  const level = random.int(4);
  table.setLevel(session, ino, level);
  if (level === 0) held.delete(ino);
  else held.set(ino, level);
}

describe('the table of holders', () => {
  test('holds what a map of maps holds, whoever comes and goes', () => {
    const seed = testSeed();
    const random = new Random(seed);
    const table = new HolderTable();
    const reference: Reference = new Map();
    const inos = INO_STARTS.flatMap((start) => Array.from({ length: 40 }, (_, i) => (start + i) as Ino));
    for (let step = 1; step <= STEPS; step++) {
      change(random, table, reference, inos);
      if (step % 500 !== 0) continue;
      const where = `seed ${seed}, step ${step}`;
      expect({ where, pairs: pairs(table, inos) }).toEqual({ where, pairs: pairsOf(reference) });
      const held = [...reference.values()].flatMap((levels) => [...levels.values()]);
      expect(table.counts()).toEqual({
        known: held.filter((level) => level === 1).length,
        read: held.filter((level) => level === 2).length,
        write: held.filter((level) => level === 3).length,
      });
    }
  });

  test('tells of all inodes, part by part', () => {
    const table = new HolderTable();
    table.seat('1');
    table.seat('2');
    for (const ino of [5, 6, 2 ** 40] as Ino[]) table.setLevel('1', ino, 2);
    table.setLevel('2', 6 as Ino, 1);
    table.setLevel('2', 7 as Ino, 1);
    table.setLevel('2', 7 as Ino, 0);
    expect([...table.parts()].flat().sort((a, b) => a - b)).toEqual([5, 6, 2 ** 40]);
  });

  test('a million inodes of one session cost 32 bytes each at most, and those of a second one 24 more', () => {
    const table = new HolderTable();
    for (const session of ['1', '2']) {
      table.seat(session);
      for (let ino = 2; ino < MILLION + 2; ino++) table.setLevel(session, (2 ** 33 + ino) as Ino, 2);
      const most = session === '1' ? 32 : 32 + 24;
      expect(table.bytes() / MILLION).toBeLessThan(most);
    }
  });

  test('the room of a session that has left is used by the next', () => {
    const table = new HolderTable();
    const bytes: number[] = [];
    for (let round = 0; round < 20; round++) {
      table.seat('1');
      for (let ino = 2; ino < 50_000; ino++) table.setLevel('1', ino as Ino, 2);
      bytes.push(table.bytes());
    }
    expect(Math.max(...bytes)).toBeLessThan(3 * (bytes[0] as number));
    expect(table.counts()).toEqual({ known: 0, read: 49_998, write: 0 });
  });
});
