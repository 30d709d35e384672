import { describe, expect, test } from '@jest/globals';
import { LeaseGate } from '../../src/fuse/lease-gate.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a lease gate', () => {
  test('lets whoever is inside end before the lease is let go of', async () => {
    const gate = new LeaseGate();
    const events: string[] = [];
    gate.enter('write');
    const alone = gate.alone(['write'], () => {
      events.push('let go');
      return Promise.resolve();
    });
    await turn();
    expect(events).toEqual([]);
    events.push('written');
    gate.leave('write');
    await alone;
    expect(events).toEqual(['written', 'let go']);
  });

  test('is closed for the modes that are taken, and no others, until that has ended', async () => {
    const gate = new LeaseGate();
    let end: () => void = () => undefined;
    const alone = gate.alone(['write'], () => new Promise<void>((resolve) => (end = resolve)));
    expect(gate.closed('read')).toBeUndefined();
    expect(gate.closed('write')).toBeDefined();
    await turn();
    end();
    await alone;
    expect(gate.closed('write')).toBeUndefined();
  });

  test('runs those who want to be alone one after the other', async () => {
    const gate = new LeaseGate();
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside);
      await turn();
      inside--;
    };
    await Promise.all([
      gate.alone(['write'], work),
      gate.alone(['read', 'write'], work),
      gate.alone(['write'], work),
    ]);
    expect(most).toBe(1);
  });

  test('opens again when the work fails', async () => {
    const gate = new LeaseGate();
    await expect(gate.alone(['read'], () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  });
});
