import { describe, expect, test } from '@jest/globals';
import { mostContended } from '../../src/coordinator/contended-leases.js';
import type { Ino } from '../../src/core/index.js';
import { LeaseMachine } from '../../src/leases/index.js';

function machineOf(sessions: number): LeaseMachine<object> {
  const machine = new LeaseMachine<object>();
  for (let session = 1; session <= sessions; session++) machine.openSession(String(session));
  return machine;
}

const acquire = (machine: LeaseMachine<object>, session: number, ino: number, mode: 'read' | 'write') =>
  machine.acquire(String(session), ino as Ino, mode, {});

describe('the leases that are contended for most', () => {
  test('are those waited for, then those written, then those that most hold', async () => {
    const machine = machineOf(4);
    acquire(machine, 1, 10, 'read');
    for (const session of [1, 2, 3]) acquire(machine, session, 11, 'read');
    for (const session of [1, 2]) acquire(machine, session, 12, 'read');
    acquire(machine, 1, 13, 'write');
    acquire(machine, 1, 14, 'write');
    machine.noteKnown('2', 14 as Ino);
    for (const session of [1, 2]) acquire(machine, session, 15, 'write');
    for (const session of [1, 2, 3]) acquire(machine, session, 16, 'write');
    for (const session of [1, 2]) acquire(machine, session, 17, 'read');
    const all = [16, 15, 14, 13, 11, 12, 17, 10];
    expect(await mostContended(machine, 100)).toEqual(all);
    for (let limit = 1; limit < all.length; limit++) {
      expect(await mostContended(machine, limit)).toEqual(all.slice(0, limit));
    }
  });

  test('are found among many, wherever they are', async () => {
    const machine = machineOf(3);
    for (let ino = 1; ino <= 50_000; ino++) acquire(machine, 1, ino, 'read');
    const contended = [7, 4096, 31_111, 49_999];
    for (const ino of contended) acquire(machine, 2, ino, 'write'); // waits for the first session
    expect(await mostContended(machine, 6)).toEqual([...contended, 1, 2]);
  });

  test('are not those of sessions that have ended', async () => {
    const machine = machineOf(2);
    for (const ino of [5, 6]) acquire(machine, 1, ino, 'write');
    acquire(machine, 2, 7, 'read');
    machine.endSession('1');
    expect(await mostContended(machine, 10)).toEqual([7]);
  });
});
