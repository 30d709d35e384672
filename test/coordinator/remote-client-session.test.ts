import { afterEach, describe, expect, test } from '@jest/globals';
import type { GfsError } from '../../src/core/index.js';
import { type Ino, timeNs } from '../../src/core/index.js';
import type { LockRequest } from '../../src/coordinator/index.js';
import type { Command } from '../../src/namespace/index.js';
import {
  type Rig,
  ScriptedCoordinator,
  TTL_MS,
  connected,
  file,
  inoOf,
  leased,
  nameOf,
  unconnected,
} from './scripted-coordinator.js';
import { turns } from './stepped-clock.js';

const rigs: Rig[] = [];
const keep = (rig: Rig): Rig => {
  rigs.push(rig);
  return rig;
};
const make = async (...options: Parameters<typeof connected>): Promise<Rig> =>
  keep(await connected(...options));

afterEach(async () => {
  for (const { client, coordinator } of rigs.splice(0)) {
    await client.stop();
    coordinator.close();
  }
});

/** Cuts the connection, and waits for the next one. */
async function cut({ link, clock }: Rig): Promise<void> {
  link.cut();
  await turns();
  await clock.advance(100);
}

const unlink: Command = { kind: 'unlink', parent: inoOf(2), name: nameOf('a'), timeNs: timeNs(5n) };
const unlinked = { op: 'execute', inode: leased(file(5)), writes: [], leased: [] } as const;

async function held(rig: Rig, ino: number, mode: 'read' | 'write'): Promise<void> {
  const asking = rig.client.acquire(inoOf(ino), mode);
  rig.coordinator.reply(await rig.coordinator.asked('acquire'), { op: 'acquire', inode: leased(file(ino)) });
  await asking;
}

/** What a call comes to: its value's word, or the code of its error. */
const outcome = async (called: unknown): Promise<string> => {
  try {
    await called;
    return 'done';
  } catch (thrown) {
    return (thrown as GfsError).code;
  }
};

describe('the deadline', () => {
  test('is that of the heartbeat that was answered last; after it nothing is held', async () => {
    const rig = await make();
    await held(rig, 5, 'write');
    await rig.clock.advance(TTL_MS * 5);
    expect(rig.client.holds(inoOf(5), 'write')).toBe(true);
    rig.clock.jump(TTL_MS * 0.95); // the process was stopped: no timer has run
    expect(rig.client.holds(inoOf(5), 'write')).toBe(false);
    expect(rig.client.holds(inoOf(5), 'read')).toBe(false);
    expect(rig.client.attributesLeased(inoOf(5))).toBe(false);
    expect(rig.host.told).toEqual([]);
  });

  test('passes when nobody answers: the host forgets everything, once', async () => {
    const rig = await make();
    await held(rig, 5, 'read');
    rig.coordinator.answersHeartbeats = false;
    rig.coordinator.answersHello = false;
    await rig.clock.advance(TTL_MS * 3);
    expect(rig.client.holds(inoOf(5), 'read')).toBe(false);
    expect(rig.host.told).toEqual(['all']);
    expect(rig.client.report().state).toBe('connecting');
    const reading = rig.client.inode(inoOf(5));
    rig.coordinator.answersHello = true;
    rig.coordinator.answersHeartbeats = true;
    await rig.clock.advance(TTL_MS);
    rig.coordinator.reply(await rig.coordinator.asked('inode'), { op: 'inode', inode: leased(file(5)) });
    expect(await reading).toEqual(file(5));
    expect(rig.host.told).toEqual(['all']);
  });

  test('a connection on which nothing comes any more is given up before it', async () => {
    const rig = await make();
    await rig.clock.advance(TTL_MS);
    rig.link.stall('down');
    await rig.clock.advance(TTL_MS * 0.8);
    rig.link.resume();
    await rig.clock.advance(100);
    expect(rig.coordinator.hellos).toHaveLength(2);
    expect(rig.client.report()).toMatchObject({ state: 'connected', connections: 2 });
  });
});

describe('a cut connection', () => {
  test('leaves what is written, what is in use, and locks; all else is dropped first', async () => {
    const rig = await make();
    const { client, coordinator, host } = rig;
    await held(rig, 5, 'write');
    await held(rig, 6, 'read');
    await held(rig, 7, 'read');
    host.used.add(inoOf(5)).add(inoOf(6));
    host.dirty.add(inoOf(5));
    const request: LockRequest = { owner: 'o', pid: 1, type: 'write', start: 0, end: 9 };
    const locking = client.tryLock(inoOf(6), 'posix', request);
    coordinator.reply(await coordinator.asked('try-lock'), { op: 'try-lock', acquired: true });
    expect(await locking).toBe(true);
    await cut(rig);
    expect(host.told).toEqual(['all']);
    const hello = coordinator.hellos[1];
    expect(hello?.session).toEqual({ id: '1', epoch: 1 });
    expect(hello?.claims).toEqual([
      { ino: 5, mode: 'write' },
      { ino: 6, mode: 'known' },
    ]);
    expect(hello?.connection).toBeGreaterThan(coordinator.hellos[0]?.connection ?? Infinity);
    expect(hello?.locks).toEqual([{ ino: 6, family: 'posix', range: request }]);
    expect(client.holds(inoOf(5), 'write')).toBe(true);
    expect(client.holds(inoOf(6), 'read')).toBe(false);
  });

  test('loses nothing: everything unanswered is sent again, in order, commands with their numbers', async () => {
    const rig = await make();
    const { client, coordinator } = rig;
    const calls = [client.execute(unlink), client.inode(inoOf(5)), client.execute(unlink)];
    const numbers = [await coordinator.asked('execute'), await coordinator.asked('execute')];
    await coordinator.asked('inode');
    await cut(rig);
    const ops = coordinator.received.map((message) => (message.kind === 'request' ? message.request.op : ''));
    expect(ops).toEqual(['execute', 'inode', 'execute']);
    const again = [await coordinator.asked('execute'), await coordinator.asked('execute')];
    expect(again.map(({ request }) => request.number)).toEqual(numbers.map(({ request }) => request.number));
    coordinator.reply(await coordinator.asked('inode'), { op: 'inode', inode: leased(file(5)) });
    for (const asked of again) coordinator.reply(asked, unlinked);
    expect(await Promise.all(calls.map(outcome))).toEqual(['done', 'done', 'done']);
  });

  test('claims what was being made, from the sending on, until it is known that it is not there', async () => {
    const rig = await make();
    const { client, coordinator } = rig;
    const common = { parent: inoOf(2), caller: { uid: 1, gid: 1 }, timeNs: timeNs(5n) };
    const mode = { mode: 0o644, umask: 0 };
    const named = (name: string) => ({ ...common, name: nameOf(name) });
    const calls = [
      client.execute({ kind: 'create', ...named('a'), ...mode, ino: inoOf(11) }),
      client.execute({ kind: 'mkdir', ...named('b'), ...mode, ino: inoOf(12) }),
      client.execute({ kind: 'mknod', ...named('c'), ...mode, rdev: 0, ino: inoOf(13) }),
      client.execute({ kind: 'symlink', ...named('d'), target: 't', ino: inoOf(14) }),
      client.execute({ kind: 'tmpfile', ...common, ...mode, ino: inoOf(15) }),
    ].map(outcome);
    await turns();
    await cut(rig);
    const known = [11, 12, 13, 14, 15].map((ino) => ({ ino, mode: 'known' }));
    expect(coordinator.hellos[1]?.claims).toEqual(known);
    coordinator.taken().forEach((message, i) => {
      const { id } = message as { id: number };
      if (i === 0) coordinator.send({ kind: 'error', id, code: 'EEXIST', message: '', retryable: false });
      else coordinator.reply({ id }, { op: 'execute', inode: leased(file(11 + i)), writes: [], leased: [] });
    });
    expect(await Promise.all(calls)).toEqual(['EEXIST', 'done', 'done', 'done', 'done']);
    expect((await coordinator.got('release')).inos).toEqual([11]);
    expect(coordinator.taken()).toEqual([]);
  });

  test('acknowledgements of what came over it are not sent over the next one', async () => {
    const rig = await make();
    const { coordinator, host } = rig;
    await held(rig, 5, 'write');
    let done: () => void = () => undefined;
    host.waits.set('write 5', new Promise((resolve) => (done = resolve)));
    host.used.add(inoOf(5));
    coordinator.send({ kind: 'recall', id: 3, ino: inoOf(5), to: 'known' });
    await turns();
    await cut(rig);
    coordinator.send({ kind: 'recall', id: 7, ino: inoOf(5), to: 'known' });
    await turns();
    done();
    expect(await coordinator.got('ack')).toEqual({ kind: 'ack', id: 7 });
    await turns();
    expect(coordinator.taken()).toEqual([]);
    expect(host.told.filter((word) => word === 'write 5')).toHaveLength(1);
  });
});

describe('a lost session', () => {
  test('voids all leases and locks; what may have been done fails, reads are asked again', async () => {
    const rig = await make();
    const { client, coordinator, host } = rig;
    await held(rig, 5, 'write');
    host.used.add(inoOf(5));
    host.dirty.add(inoOf(5));
    const locking = client.tryLock(inoOf(5), 'flock', {
      owner: 'o',
      pid: 1,
      type: 'write',
      start: 0,
      end: 9,
    });
    coordinator.reply(await coordinator.asked('try-lock'), { op: 'try-lock', acquired: true });
    await locking;
    const unknown = outcome(client.execute(unlink));
    const stored = outcome(client.stored());
    const reading = client.inode(inoOf(6));
    await coordinator.asked('execute');
    coordinator.knowsSessions = false;
    await cut(rig);
    expect(await unknown).toBe('EIO');
    expect(await stored).toBe('EIO');
    expect(host.told).toEqual(['all', 'lost']);
    expect(client.holds(inoOf(5), 'write')).toBe(false);
    expect(client.report()).toMatchObject({ locks: 0, state: 'connected' });
    // What is in use is made known to the new session's coordinator.
    expect((await coordinator.asked('acquire')).request).toEqual({ op: 'acquire', ino: 5, mode: 'known' });
    coordinator.knowsSessions = true;
    await cut(rig);
    expect(coordinator.hellos[2]?.claims).toEqual([{ ino: 5, mode: 'known' }]);
    expect((await coordinator.asked('acquire')).request).toEqual({ op: 'acquire', ino: 5, mode: 'known' });
    coordinator.reply(await coordinator.asked('inode'), { op: 'inode', inode: leased(file(6)) });
    expect(await reading).toEqual(file(6));
  });

  test('commands that were never sent are sent to the new one', async () => {
    const { client, coordinator, link, clock } = await make();
    coordinator.knowsSessions = false;
    link.unreachable = true;
    link.cut();
    await turns();
    const calling = outcome(client.execute(unlink));
    link.unreachable = false;
    await clock.advance(200);
    coordinator.reply(await coordinator.asked('execute'), unlinked);
    expect(await calling).toBe('done');
  });
});

describe('coordinators', () => {
  test('a standby says where the leader is, and that is where the client goes', async () => {
    const rig = keep(unconnected({ addresses: ['b:1'] }));
    rig.coordinator.network.listen('b:1', (stream) => ({
      message: () => {
        stream.send({ kind: 'refused', code: 'UNAVAILABLE', message: 'standby', leader: 'a:1' });
        stream.close();
      },
      closed: () => undefined,
    }));
    expect((await rig.client.start()).session.id).toBe('1');
    expect(rig.client.report().address).toBe('a:1');
  });

  test('are tried one after the other, and again, until one answers', async () => {
    const rig = keep(unconnected({ addresses: ['x:1', 'b:1', 'y:1'] }));
    const starting = rig.client.start();
    await rig.clock.advance(500);
    expect(rig.client.report().state).toBe('connecting');
    const second = new ScriptedCoordinator('z:1');
    const close = rig.coordinator.network.listen('b:1', (stream) => ({
      message: (message) => {
        if (message.kind !== 'hello') return;
        const session = { id: '7', epoch: 1 };
        stream.send({
          ...{ kind: 'welcome', protocol: 1, session, resumed: false, ttlMs: TTL_MS, clusterId: 'test' },
          sites: [],
        });
      },
      closed: () => undefined,
    }));
    await rig.clock.advance(5000);
    expect((await starting).session.id).toBe('7');
    close();
    second.close();
  });

  test('one that refuses this mount for good ends the start', async () => {
    const rig = keep(unconnected({ addresses: ['b:1'] }));
    rig.coordinator.network.listen('b:1', (stream) => ({
      message: () => {
        stream.send({ kind: 'refused', code: 'CONFIG', message: 'no such site' });
        stream.close();
      },
      closed: () => undefined,
    }));
    expect(await outcome(rig.client.start())).toBe('CONFIG');
  });

  test('when none answers calls wait as long as they may, then fail until one does', async () => {
    const rig = await make({ unreachable: { kind: 'fail', afterMs: 30_000 } });
    const { client, coordinator, link, clock } = rig;
    link.unreachable = true;
    link.cut();
    await turns();
    const waiting = outcome(client.inode(inoOf(5)));
    await clock.advance(29_000);
    expect(client.report().unanswered).toBeGreaterThan(0);
    await clock.advance(2000);
    expect(await waiting).toBe('EIO');
    expect(await outcome(client.inode(inoOf(5)))).toBe('EIO');
    link.unreachable = false;
    await clock.advance(5000);
    const reading = client.inode(inoOf(5));
    coordinator.reply(await coordinator.asked('inode'), { op: 'inode', inode: leased(file(5)) });
    expect(await reading).toEqual(file(5));
  });

  test('the start fails when none answers in that time, and when it is given up', async () => {
    const late = keep(unconnected({ addresses: ['x:1'], unreachable: { kind: 'fail', afterMs: 3000 } }));
    const starting = outcome(late.client.start());
    await late.clock.advance(4000);
    expect(await starting).toBe('UNAVAILABLE');
    const given = keep(unconnected({ addresses: ['x:1'] }));
    expect(await outcome(given.client.start(AbortSignal.abort()))).toBe('CANCELLED');
  });

  test('a client that leaves says so', async () => {
    const { client, coordinator } = await make();
    await client.stop();
    expect(await coordinator.got('goodbye')).toEqual({ kind: 'goodbye' });
    expect(await outcome(client.inode(inoOf(5)))).toBe('UNAVAILABLE');
  });
});

describe('file locks', () => {
  const request = (type: LockRequest['type']): LockRequest => ({
    owner: 'o',
    pid: 1,
    type,
    start: 0,
    end: 9,
  });

  test('unlocking where nothing is locked costs no message', async () => {
    const { client, coordinator } = await make();
    expect(client.tryLock(inoOf(5), 'posix', request('unlock'))).toBe(true);
    await turns();
    expect(coordinator.taken()).toEqual([]);
  });

  test('a wait that is interrupted is cancelled; what was granted just before is held', async () => {
    const { client, coordinator } = await make();
    const [first, second] = [new AbortController(), new AbortController()];
    const waits = [
      outcome(client.waitLock(inoOf(5), 'posix', request('write'), first.signal)),
      outcome(client.waitLock(inoOf(6), 'posix', request('write'), second.signal)),
    ];
    const asked = [await coordinator.asked('wait-lock'), await coordinator.asked('wait-lock')] as const;
    first.abort();
    second.abort();
    expect((await coordinator.got('cancel')).id).toBe(asked[0].id);
    expect((await coordinator.got('cancel')).id).toBe(asked[1].id);
    const interrupted = { code: 'EINTR', message: 'interrupted', retryable: false } as const;
    coordinator.send({ kind: 'error', id: asked[0].id, ...interrupted });
    coordinator.reply(asked[1], { op: 'wait-lock' });
    expect(await Promise.all(waits)).toEqual(['EINTR', 'done']);
    expect(client.report().locks).toBe(1);
  });

  test('an interrupted wait ends at once while no coordinator answers', async () => {
    const { client, link } = await make();
    link.unreachable = true;
    link.cut();
    await turns();
    const abort = new AbortController();
    const waiting = outcome(client.waitLock(inoOf(5), 'posix', request('write'), abort.signal));
    abort.abort();
    expect(await waiting).toBe('EINTR');
  });
});

test('inode numbers are fetched before they are needed', async () => {
  const { client } = await make();
  let last = 0;
  let waits = 0;
  for (let i = 0; i < 10_000; i++) {
    const next = client.nextIno();
    if (next instanceof Promise) waits++;
    const ino: Ino = await next;
    expect(ino).toBeGreaterThan(last);
    last = ino;
    if (i % 1000 === 0) await turns();
  }
  expect(waits).toBe(0);
});

test('flush waits for the commands that are not answered, and for nothing else', async () => {
  const { client, coordinator } = await make();
  await client.flush();
  await client.stored();
  expect(coordinator.taken()).toEqual([]);
  const calling = client.execute(unlink);
  const flushing = client.flush();
  const asked = await coordinator.asked('execute');
  coordinator.reply(await coordinator.asked('flush'), { op: 'flush' });
  let flushed = false;
  void flushing.then(() => (flushed = true));
  await turns();
  expect(flushed).toBe(false);
  coordinator.reply(asked, unlinked);
  await flushing;
  await calling;
});
