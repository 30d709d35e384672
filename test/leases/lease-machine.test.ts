import { describe, expect, test } from '@jest/globals';
import type { Ino, Name } from '../../src/core/index.js';
import { type LeaseEffect, LeaseMachine, type LeaseMode } from '../../src/leases/index.js';

const FILE = 7 as Ino;
const DIR = 8 as Ino;
const NAME = 'name' as Name;

type Effect = LeaseEffect<string>;

/** A machine with sessions A to D open. */
function machineOfFour(): LeaseMachine<string> {
  const machine = new LeaseMachine<string>();
  for (const session of ['A', 'B', 'C', 'D']) machine.openSession(session);
  return machine;
}

const granted = (...tokens: string[]): Effect[] => tokens.map((token) => ({ kind: 'granted', token }));
const settled = (...tokens: string[]): Effect[] => tokens.map((token) => ({ kind: 'settled', token }));

/** Effects without their ids, as `recall B to known`, `granted t1`. */
const said = (effects: readonly Effect[]): string[] => effects.map(sayEffect);

function sayEffect(effect: Effect): string {
  switch (effect.kind) {
    case 'recall':
      return `recall ${effect.session} to ${effect.to}`;
    case 'notify':
      return `notify ${effect.session} of ${effect.notices.map((notice) => notice.kind).join(', ')}`;
    case 'granted':
    case 'settled':
      return `${effect.kind} ${effect.token}`;
    case 'claim-refused':
      return `refused ${effect.session}`;
  }
}

/** The ids that have to be acknowledged. */
const ids = (effects: readonly Effect[]): number[] =>
  effects.flatMap((effect) => {
    if (effect.kind === 'recall') return [effect.recall];
    return effect.kind === 'notify' ? [effect.notice] : [];
  });

const firstId = (effects: readonly Effect[]): number => ids(effects)[0] as number;

function modes(machine: LeaseMachine<string>, ino = FILE): Record<string, LeaseMode> {
  return Object.fromEntries(machine.holders(ino).map(({ session, mode }) => [session, mode]));
}

describe('grants', () => {
  test('many sessions read at once, one writes alone', () => {
    const machine = machineOfFour();
    expect(machine.acquire('A', FILE, 'read', 'a')).toEqual(granted('a'));
    expect(machine.acquire('B', FILE, 'read', 'b')).toEqual(granted('b'));
    expect(said(machine.acquire('C', FILE, 'write', 'c')).sort()).toEqual([
      'recall A to known',
      'recall B to known',
    ]);
    expect(modes(machine)).toEqual({ A: 'read', B: 'read' });
  });

  test('a writer is granted once all readers have let go, and not before', () => {
    const machine = machineOfFour();
    machine.acquire('A', FILE, 'read', 'a');
    machine.acquire('B', FILE, 'read', 'b');
    const recalls = machine.acquire('C', FILE, 'write', 'c');
    const [first, second] = recalls.map((effect) => (effect.kind === 'recall' ? effect : undefined));
    expect(machine.acknowledge(first?.session ?? '', first?.recall ?? 0)).toEqual([]);
    expect(machine.acknowledge(second?.session ?? '', second?.recall ?? 0)).toEqual(granted('c'));
    expect(modes(machine)).toEqual({ A: 'known', B: 'known', C: 'write' });
    expect(machine.writerOf(FILE)).toBe('C');
  });

  test('a reader leaves a writer with read', () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    const recalls = machine.acquire('B', FILE, 'read', 'b');
    expect(said(recalls)).toEqual(['recall A to read']);
    expect(machine.acknowledge('A', firstId(recalls))).toEqual(granted('b'));
    expect(modes(machine)).toEqual({ A: 'read', B: 'read' });
  });

  test('what a session has it is granted again at once', () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    expect(machine.acquire('A', FILE, 'write', 'w')).toEqual(granted('w'));
    expect(machine.acquire('A', FILE, 'read', 'r')).toEqual(granted('r'));
    expect(machine.mode('A', FILE)).toBe('write');
  });

  test('a session that is not open is granted nothing', () => {
    const machine = machineOfFour();
    expect(machine.acquire('Z', FILE, 'write', 'z')).toEqual([]);
    expect(machine.grant('Z', FILE, 'read')).toBe(false);
    machine.noteKnown('Z', FILE);
    expect(machine.isKnown(FILE)).toBe(false);
  });
});

describe('fairness', () => {
  test('reads that come while a session waits to write do not overtake it', () => {
    const machine = machineOfFour();
    machine.acquire('A', FILE, 'read', 'a');
    const recalls = machine.acquire('B', FILE, 'write', 'b');
    expect(machine.grant('C', FILE, 'read')).toBe(false);
    expect(machine.acquire('C', FILE, 'read', 'c')).toEqual([]);
    const after = machine.acknowledge('A', firstId(recalls));
    expect(said(after)).toEqual(['granted b', 'recall B to read']);
  });

  test('a writer that is recalled and asks again waits for its turn', () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    const recalls = machine.acquire('B', FILE, 'write', 'b');
    expect(machine.grant('A', FILE, 'write')).toBe(false);
    expect(machine.acquire('A', FILE, 'write', 'a')).toEqual([]);
    const after = machine.acknowledge('A', firstId(recalls));
    expect(said(after)).toEqual(['granted b', 'recall B to known']);
    expect(said(machine.acknowledge('B', firstId(after)))).toEqual(['granted a']);
  });

  test('two readers that both want to write do not block each other', () => {
    const machine = machineOfFour();
    machine.acquire('A', FILE, 'read', 'a');
    machine.acquire('B', FILE, 'read', 'b');
    const first = machine.acquire('A', FILE, 'write', 'aw');
    expect(said(first)).toEqual(['recall B to known']);
    expect(machine.acquire('B', FILE, 'write', 'bw')).toEqual([]);
    const second = machine.acknowledge('B', firstId(first));
    expect(said(second)).toEqual(['granted aw', 'recall A to known']);
    expect(said(machine.acknowledge('A', firstId(second)))).toEqual(['granted bw']);
    expect(modes(machine)).toEqual({ A: 'known', B: 'write' });
  });

  test('a writer that loses to a reader is recalled again, once, for the writer behind the reader', () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    const first = machine.acquire('B', FILE, 'read', 'b');
    expect(machine.acquire('C', FILE, 'write', 'c')).toEqual([]);
    expect(machine.cancel('b')).toEqual([]); // the recall to read is under way: no second one beside it
    const second = machine.acknowledge('A', firstId(first));
    expect(said(second)).toEqual(['recall A to known']);
    expect(machine.acknowledge('A', firstId(second))).toEqual(granted('c'));
  });

  test('waiting reads are granted together', () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    const recalls = machine.acquire('B', FILE, 'read', 'b');
    machine.acquire('C', FILE, 'read', 'c');
    expect(machine.acknowledge('A', firstId(recalls))).toEqual(granted('b', 'c'));
  });
});

describe('letting go', () => {
  test('a commit that ends the writing lets readers in before the recall is acknowledged', () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    const recalls = machine.acquire('B', FILE, 'read', 'b');
    expect(machine.lower('A', FILE, 'read')).toEqual(granted('b'));
    expect(machine.acknowledge('A', firstId(recalls))).toEqual([]);
    expect(modes(machine)).toEqual({ A: 'read', B: 'read' });
  });

  test('what is granted while a recall is under way is not taken back by its acknowledgement', () => {
    const machine = machineOfFour();
    machine.acquire('A', FILE, 'read', 'a');
    const recalls = machine.acquire('B', FILE, 'write', 'b');
    machine.cancel('b');
    expect(machine.acquire('A', FILE, 'write', 'aw')).toEqual([]);
    expect(machine.acknowledge('A', firstId(recalls))).toEqual(granted('aw'));
    expect(machine.mode('A', FILE)).toBe('write');
  });

  test('a released inode needs no acknowledgement, and a late one changes nothing', () => {
    const machine = machineOfFour();
    machine.acquire('A', FILE, 'read', 'a');
    const recalls = machine.acquire('B', FILE, 'write', 'b');
    expect(machine.release('A', FILE)).toEqual(granted('b'));
    expect(machine.acknowledge('A', firstId(recalls))).toEqual([]);
    expect(modes(machine)).toEqual({ B: 'write' });
  });

  test('only the holder can acknowledge its recall or its notice', () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    const recalls = machine.acquire('B', FILE, 'write', 'b');
    expect(machine.acknowledge('C', firstId(recalls))).toEqual([]);
    machine.grant('D', DIR, 'read');
    const notices = machine.invalidate('A', { entries: [[DIR, NAME]], inodes: [] }, 'm');
    expect(machine.acknowledge('C', firstId(notices))).toEqual([]);
    expect(machine.acknowledge('D', firstId(notices))).toEqual(settled('m'));
  });

  test("a recalled writer's own commit is not kept waiting by those who wait for it", () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    machine.acquire('B', FILE, 'write', 'b');
    expect(machine.exclude('A', FILE, 'commit')).toEqual(granted('commit'));
  });

  test('a command that excludes others runs before the next in the queue is granted', () => {
    const machine = machineOfFour();
    machine.acquire('A', FILE, 'read', 'a');
    const recalls = machine.exclude('B', FILE, 'truncate');
    machine.acquire('C', FILE, 'write', 'c');
    const turn = machine.acknowledge('A', firstId(recalls));
    expect(turn).toEqual(granted('truncate'));
    const then = machine.lower('B', FILE, 'read');
    expect(said(then)).toEqual(['recall B to known']);
    expect(machine.acknowledge('B', firstId(then))).toEqual(granted('c'));
  });
});

describe('notices', () => {
  test('go to those who keep what has changed, one per session, and not to the author', () => {
    const machine = machineOfFour();
    for (const session of ['A', 'B', 'C']) machine.grant(session, DIR, 'read');
    machine.grant('B', FILE, 'read');
    machine.noteKnown('D', FILE);
    const changes = { entries: [[DIR, NAME]] as const, inodes: [{ ino: FILE, orphaned: false }] };
    const notices = machine.invalidate('A', changes, 'm');
    expect(said(notices).sort()).toEqual(['notify B of entry, inode', 'notify C of entry']);
    expect(modes(machine, DIR)).toEqual({ A: 'read', B: 'read', C: 'read' });
  });

  test('of an orphan go to whoever knows it', () => {
    const machine = machineOfFour();
    machine.noteKnown('B', FILE);
    const changes = { entries: [], inodes: [{ ino: FILE, orphaned: true }] };
    expect(said(machine.invalidate('A', changes, 'm'))).toEqual(['notify B of inode']);
  });

  test('settle when the last one is acknowledged, and at once when there is none', () => {
    const machine = machineOfFour();
    const changes = { entries: [], inodes: [{ ino: FILE, orphaned: false }] };
    expect(machine.invalidate('A', changes, 'm0')).toEqual(settled('m0'));
    machine.grant('B', FILE, 'read');
    machine.grant('C', FILE, 'read');
    const notices = machine.invalidate('A', changes, 'm');
    for (const notice of notices.slice(0, 1))
      if (notice.kind === 'notify') expect(machine.acknowledge(notice.session, notice.notice)).toEqual([]);
    for (const notice of notices.slice(1))
      if (notice.kind === 'notify')
        expect(machine.acknowledge(notice.session, notice.notice)).toEqual(settled('m'));
  });
});

describe('sessions', () => {
  test('one that ends lets everybody go on who waits for it', () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    machine.grant('A', DIR, 'read');
    machine.acquire('B', FILE, 'write', 'b');
    machine.invalidate('C', { entries: [[DIR, NAME]], inodes: [] }, 'm');
    expect(machine.endSession('A')).toEqual([...settled('m'), ...granted('b')]);
    expect(machine.isOpen('A')).toBe(false);
    expect(machine.isKnown(DIR)).toBe(false);
    expect(machine.counts()).toMatchObject({ write: 1, read: 0, notices: 0, recalls: 0, waiting: 0 });
  });

  test('one that ends is not granted what it waited for', () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    const recalls = machine.acquire('B', FILE, 'write', 'b');
    machine.acquire('C', FILE, 'read', 'c');
    expect(machine.endSession('B')).toEqual([]);
    expect(machine.acknowledge('A', firstId(recalls))).toEqual(granted('c'));
  });

  test('one that comes back holds what it claims, and is recalled anew', () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    machine.grant('A', DIR, 'read');
    const recalls = machine.acquire('B', FILE, 'read', 'b');
    const again = machine.resetSession('A', [
      { ino: FILE, mode: 'write' },
      { ino: DIR, mode: 'known' },
    ]);
    expect(said(again)).toEqual(['recall A to read']);
    expect(machine.mode('A', DIR)).toBe('known');
    expect(machine.acknowledge('A', firstId(recalls))).toEqual([]); // of the stream that was cut
    expect(machine.acknowledge('A', firstId(again))).toEqual(granted('b'));
  });

  test('one that comes back without claims has let go', () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    machine.acquire('B', FILE, 'write', 'b');
    expect(machine.resetSession('A', [])).toEqual(granted('b'));
    expect(modes(machine)).toEqual({ B: 'write' });
  });

  test("a claim that conflicts with another's lease is refused", () => {
    const machine = machineOfFour();
    machine.grant('A', FILE, 'write');
    expect(said(machine.resetSession('B', [{ ino: FILE, mode: 'write' }]))).toEqual(['refused B']);
    expect(modes(machine)).toEqual({ A: 'write', B: 'known' });
  });
});
