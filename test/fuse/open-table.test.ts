import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { GfsError, type Ino } from '../../src/core/index.js';
import { type DirectoryHandle, type OpenFile, OpenTable } from '../../src/fuse/open-table.js';

const A = 10 as Ino;
const B = 11 as Ino;

const directory = (ino: Ino): DirectoryHandle => ({ kind: 'directory', ino, names: [] });

describe('lookup counts', () => {
  test('an inode is known until as many lookups are forgotten as were handed out', () => {
    const table = new OpenTable();
    table.addLookup(A);
    table.addLookup(A);
    table.addLookup(A);
    expect([table.forget(A, 2), table.isUnused(A), table.knownInodes]).toEqual([false, false, 1]);
    expect([table.forget(A, 1), table.isUnused(A), table.knownInodes]).toEqual([true, true, 0]);
  });

  test('a lookup after the last forget counts anew', () => {
    const table = new OpenTable();
    table.addLookup(A);
    expect(table.forget(A, 1)).toBe(true);
    table.addLookup(A);
    expect([table.isUnused(A), table.forget(A, 1)]).toEqual([false, true]);
  });

  test('what is still open is in use, though the kernel has forgotten it', () => {
    const table = new OpenTable();
    table.addLookup(A);
    table.files.set(A, {} as OpenFile);
    expect([table.forget(A, 1), table.isUnused(A)]).toEqual([true, false]);
    table.files.delete(A);
    expect(table.isUnused(A)).toBe(true);
  });

  test('counts of any history are those of a simple sum', () => {
    const step = fc.record({ ino: fc.constantFrom(1, 2, 3), forget: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const table = new OpenTable();
        const counts = new Map<number, number>();
        for (const { ino, forget } of steps) {
          const count = counts.get(ino) ?? 0;
          if (forget === 0) {
            table.addLookup(ino as Ino);
            counts.set(ino, count + 1);
          } else if (count >= forget) {
            expect(table.forget(ino as Ino, forget)).toBe(count === forget);
            counts.set(ino, count - forget);
          }
        }
        const known = [...counts].filter(([, count]) => count > 0).map(([ino]) => ino);
        expect([...table.known()].sort()).toEqual(known.sort());
      }),
    );
  });
});

describe('handles', () => {
  test('are never given twice, and each is of its kind', () => {
    const table = new OpenTable();
    const first = table.add(directory(A));
    table.remove(first);
    const second = table.add(directory(B));
    expect(second).not.toBe(first);
    expect(table.directory(second).ino).toBe(B);
    expect(() => table.directory(first)).toThrow(GfsError);
    expect(() => table.file(second)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect([table.handleCount, [...table.fileHandles()].length]).toEqual([1, 0]);
  });
});

describe('work on one inode runs one after the other', () => {
  const turn = (): Promise<void> => new Promise(setImmediate);

  test('uncontested work starts in the turn in which it is asked for', async () => {
    const table = new OpenTable();
    const seen: string[] = [];
    const done = table.serial(A, async () => {
      seen.push('started');
      await turn();
      return 7;
    });
    expect(seen).toEqual(['started']);
    expect(await done).toBe(7);
  });

  test('in the order asked, however long each takes', async () => {
    const task = fc.record({ ino: fc.constantFrom(1, 2), turns: fc.nat(4), fails: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(task, { maxLength: 20 }), async (tasks) => {
        const table = new OpenTable();
        const running = new Map<number, number>();
        const started: [number, number][] = [];
        const all = tasks.map(({ ino, turns, fails }, index) =>
          table.serial(ino as Ino, async () => {
            expect(running.has(ino)).toBe(false);
            running.set(ino, index);
            started.push([ino, index]);
            for (let i = 0; i < turns; i++) await turn();
            running.delete(ino);
            if (fails) throw new GfsError('EIO', `task ${index} fails`);
            return index;
          }),
        );
        const results = await Promise.allSettled(all);
        expect(results.map(({ status }) => status === 'rejected')).toEqual(tasks.map(({ fails }) => fails));
        for (const ino of [1, 2]) {
          const order = started.filter(([of]) => of === ino).map(([, index]) => index);
          expect(order).toEqual([...order].sort((a, b) => a - b));
        }
      }),
      { numRuns: 50 },
    );
  });

  test('a failure is told to its own caller only', async () => {
    const table = new OpenTable();
    const failed = table.serial(A, () => Promise.reject(new GfsError('EIO', 'broken')));
    const next = table.serial(A, () => Promise.resolve('fine'));
    await expect(failed).rejects.toThrow('broken');
    expect(await next).toBe('fine');
  });

  test('another inode does not wait', async () => {
    const table = new OpenTable();
    let release = (): void => undefined;
    const blocked = table.serial(A, () => new Promise<void>((resolve) => (release = resolve)));
    expect(await table.serial(B, () => Promise.resolve('free'))).toBe('free');
    release();
    await blocked;
  });
});
