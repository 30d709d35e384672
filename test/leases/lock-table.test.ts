import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Ino } from '../../src/core/index.js';
import { type LockRequest, LockTable } from '../../src/leases/index.js';

const INO = 7 as Ino;
const END = Number.MAX_SAFE_INTEGER;

const lock = (owner: string, type: LockRequest['type'], start = 0, end = END): LockRequest => ({
  owner,
  pid: 1,
  type,
  start,
  end,
});

describe('the lock table', () => {
  test('readers share a range; a writer excludes them', () => {
    const table = new LockTable();
    expect(table.tryAcquire(INO, 'posix', lock('a', 'read'))).toBe(true);
    expect(table.tryAcquire(INO, 'posix', lock('b', 'read'))).toBe(true);
    expect(table.tryAcquire(INO, 'posix', lock('c', 'write', 5, 5))).toBe(false);
    expect(table.conflict(INO, 'posix', lock('c', 'write', 5, 5))?.owner).toBe('a');
  });

  test('an owner may change the type of a part of what it holds', () => {
    const table = new LockTable();
    table.tryAcquire(INO, 'posix', lock('a', 'write', 0, 99));
    table.tryAcquire(INO, 'posix', lock('a', 'unlock', 40, 59));
    expect(table.tryAcquire(INO, 'posix', lock('b', 'write', 40, 59))).toBe(true);
    expect(table.tryAcquire(INO, 'posix', lock('b', 'write', 39, 39))).toBe(false);
    expect(table.tryAcquire(INO, 'posix', lock('b', 'write', 60, 60))).toBe(false);
  });

  test('flock and fcntl locks do not see each other', () => {
    const table = new LockTable();
    expect(table.tryAcquire(INO, 'posix', lock('a', 'write'))).toBe(true);
    expect(table.tryAcquire(INO, 'flock', lock('b', 'write'))).toBe(true);
  });

  test('who waited first is granted first, and those who still conflict go on waiting', () => {
    const table = new LockTable();
    const granted: string[] = [];
    table.tryAcquire(INO, 'posix', lock('a', 'write'));
    for (const owner of ['b', 'c']) {
      table.wait(INO, 'posix', lock(owner, 'write'), () => granted.push(owner));
    }
    table.tryAcquire(INO, 'posix', lock('a', 'unlock'));
    expect(granted).toEqual(['b']);
    table.tryAcquire(INO, 'posix', lock('b', 'unlock'));
    expect(granted).toEqual(['b', 'c']);
  });

  test('who gave up waiting is not granted', () => {
    const table = new LockTable();
    let granted = false;
    table.tryAcquire(INO, 'posix', lock('a', 'write'));
    const giveUp = table.wait(INO, 'posix', lock('b', 'write'), () => {
      granted = true;
    });
    if (giveUp === 'deadlock') throw new Error('nobody waits for b');
    giveUp();
    table.tryAcquire(INO, 'posix', lock('a', 'unlock'));
    expect(granted).toBe(false);
  });

  test('a wait that would close a circle is a deadlock', () => {
    const table = new LockTable();
    const other = 8 as Ino;
    table.tryAcquire(INO, 'posix', lock('a', 'write'));
    table.tryAcquire(other, 'posix', lock('b', 'write'));
    expect(table.wait(other, 'posix', lock('a', 'write'), () => undefined)).not.toBe('deadlock');
    expect(table.wait(INO, 'posix', lock('b', 'write'), () => undefined)).toBe('deadlock');
  });

  test('holds, byte by byte, what a table of bytes would hold', () => {
    const bytes = 12;
    const step = fc.record({
      owner: fc.constantFrom('a', 'b', 'c'),
      type: fc.constantFrom('read' as const, 'write' as const, 'unlock' as const),
      start: fc.nat(bytes - 1),
      length: fc.integer({ min: 1, max: bytes }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const table = new LockTable();
        const model = Array.from({ length: bytes }, () => new Map<string, 'read' | 'write'>());
        for (const { owner, type, start, length } of steps) {
          const end = Math.min(bytes - 1, start + length - 1);
          const range = model.slice(start, end + 1);
          const free = range.every((held) =>
            [...held].every(
              ([who, what]) => who === owner || type === 'unlock' || (what === 'read' && type === 'read'),
            ),
          );
          expect(table.tryAcquire(INO, 'posix', lock(owner, type, start, end))).toBe(free);
          if (!free) continue;
          for (const held of range) {
            if (type === 'unlock') held.delete(owner);
            else held.set(owner, type);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
