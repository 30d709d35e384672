import { afterEach, describe, expect, test } from '@jest/globals';
import { type Name, ROOT_INO, timeNs } from '../../src/core/index.js';
import type { Command } from '../../src/namespace/index.js';
import { S_IFREG } from '../../src/namespace/index.js';
import { type Rig, connected, directory, file, inoOf, leased, nameOf } from './scripted-coordinator.js';
import { turns } from './stepped-clock.js';

const rigs: Rig[] = [];
const make = async (...options: Parameters<typeof connected>): Promise<Rig> => {
  const rig = await connected(...options);
  rigs.push(rig);
  return rig;
};

afterEach(async () => {
  for (const { client, coordinator } of rigs.splice(0)) {
    await client.stop();
    coordinator.close();
  }
});

const A = nameOf('a');
const time = timeNs(5n);

/** Whether a call has to ask; what becomes of it does not matter. */
function isAsked(called: unknown): boolean {
  if (!(called instanceof Promise)) return false;
  called.catch(() => undefined);
  return true;
}

async function known(rig: Rig, ino: number): Promise<void> {
  const asking = rig.client.inode(inoOf(ino));
  rig.coordinator.reply(await rig.coordinator.asked('inode'), { op: 'inode', inode: leased(file(ino)) });
  await asking;
}

async function acquired(rig: Rig, ino: number, mode: 'read' | 'write'): Promise<void> {
  const asking = rig.client.acquire(inoOf(ino), mode);
  rig.coordinator.reply(await rig.coordinator.asked('acquire'), { op: 'acquire', inode: leased(file(ino)) });
  await asking;
}

async function listed(rig: Rig, ino: number, names: Readonly<Record<string, number>>): Promise<void> {
  const asking = rig.client.readDirectory(inoOf(ino), '', 100);
  const entries = Object.entries(names).map(([name, child]) => ({
    name: nameOf(name),
    dentry: { ino: inoOf(child), type: S_IFREG },
    inode: leased(file(child)),
  }));
  rig.coordinator.reply(await rig.coordinator.asked('read-directory'), {
    ...{ op: 'read-directory', entries, complete: true, leased: true },
  });
  await asking;
}

describe('what is leased', () => {
  test('an inode is asked for once', async () => {
    const rig = await make();
    await known(rig, 5);
    expect(rig.client.inode(inoOf(5))).toEqual(file(5));
    expect(rig.client.attributesLeased(inoOf(5))).toBe(true);
    expect(rig.coordinator.taken()).toEqual([]);
  });

  test('a name, and that a name means nothing, are asked for once', async () => {
    const { client, coordinator } = await make();
    const present = client.lookup(ROOT_INO, A);
    coordinator.reply(await coordinator.asked('lookup'), {
      ...{ op: 'lookup', inode: leased(file(5)), entryLeased: true },
    });
    const absent = client.lookup(ROOT_INO, nameOf('b'));
    coordinator.reply(await coordinator.asked('lookup'), { op: 'lookup', entryLeased: true });
    expect(await present).toEqual(file(5));
    expect(await absent).toBeUndefined();
    expect(client.lookup(ROOT_INO, A)).toEqual(file(5));
    expect(client.lookup(ROOT_INO, nameOf('b'))).toBeUndefined();
    expect(client.entryLeased(ROOT_INO, A)).toBe(true);
    expect(client.entryLeased(ROOT_INO, A, inoOf(6))).toBe(false);
    expect(client.entryLeased(ROOT_INO, nameOf('b'), 'absent')).toBe(true);
    expect(client.entryLeased(ROOT_INO, nameOf('c'))).toBe(false);
    expect(coordinator.taken()).toEqual([]);
  });

  test('a directory that was listed answers for every name, its inodes too', async () => {
    const rig = await make();
    await listed(rig, 2, { a: 5, b: 6 });
    const { client } = rig;
    expect(client.readDirectory(inoOf(2), '', 100)).toHaveLength(2);
    expect(client.readDirectory(inoOf(2), A, 100)).toEqual([{ name: 'b', ino: 6, type: S_IFREG }]);
    expect(client.lookup(inoOf(2), nameOf('nothing'))).toBeUndefined();
    expect(client.lookup(inoOf(2), A)).toEqual(file(5));
    expect(client.inode(inoOf(6))).toEqual(file(6));
    expect(rig.coordinator.taken()).toEqual([]);
  });

  test('xattrs are asked for once, and not at all where there are none', async () => {
    const rig = await make();
    const { client, coordinator } = rig;
    await known(rig, 5);
    expect(client.xattrNames(inoOf(5))).toEqual([]);
    expect(client.xattr(inoOf(5), 'user.x')).toBeUndefined();
    const asking = client.xattr(inoOf(6), 'user.x');
    const xattrs = [{ name: 'user.x', value: Buffer.from('v') }];
    coordinator.reply(await coordinator.asked('xattrs'), { op: 'xattrs', xattrs, leased: true });
    expect(Buffer.from((await asking) ?? [])).toEqual(Buffer.from('v'));
    expect(client.xattrNames(inoOf(6))).toEqual(['user.x']);
    expect(client.xattr(inoOf(6), 'user.y')).toBeUndefined();
    expect(coordinator.taken()).toEqual([]);
  });

  test('what somebody else is writing is shown and not kept', async () => {
    const { client, coordinator } = await make();
    const asking = client.inode(inoOf(5));
    const inode = { record: file(5, { size: 7 }), leased: false, volatile: true };
    coordinator.reply(await coordinator.asked('inode'), { op: 'inode', inode });
    expect((await asking)?.size).toBe(7);
    expect(client.attributesLeased(inoOf(5))).toBe(false);
    expect(client.holds(inoOf(5), 'read')).toBe(false);
    expect(isAsked(client.inode(inoOf(5)))).toBe(true);
  });

  test('messages of one frame count in their order', async () => {
    const { client, coordinator } = await make();
    const asking = client.inode(inoOf(5));
    const { id } = await coordinator.asked('inode');
    coordinator.send(
      { kind: 'reply', id, result: { op: 'inode', inode: leased(file(5)) } },
      { kind: 'notice', id: 9, notices: [{ kind: 'inode', ino: inoOf(5), orphaned: false }] },
    );
    const record = await asking;
    expect(client.attributesLeased(inoOf(5), record)).toBe(false);
    expect(client.holds(inoOf(5), 'read')).toBe(true); // the lease stays, the record does not
  });
});

describe('a notice', () => {
  test('is acknowledged when the host has forgotten, each by itself', async () => {
    const rig = await make();
    const { coordinator, host, client } = rig;
    await listed(rig, 2, { a: 5, b: 6 });
    let done: () => void = () => undefined;
    host.waits.set('entry 2/a', new Promise((resolve) => (done = resolve)));
    coordinator.send(
      { kind: 'notice', id: 1, notices: [{ kind: 'entry', parent: inoOf(2), name: A }] },
      { kind: 'notice', id: 2, notices: [{ kind: 'inode', ino: inoOf(6), orphaned: false }] },
    );
    await turns();
    expect(host.told).toEqual(['entry 2/a', 'inode 6']);
    expect(coordinator.taken()).toEqual([{ kind: 'ack', id: 2 }]);
    expect(client.entryLeased(inoOf(2), A)).toBe(false);
    done();
    expect(await coordinator.got('ack')).toEqual({ kind: 'ack', id: 1 });
  });

  test('costs a listing one look-up', async () => {
    const rig = await make();
    const { coordinator, client } = rig;
    await listed(rig, 2, { a: 5, b: 6, d: 7 });
    const notices = [{ kind: 'entry', parent: inoOf(2), name: nameOf('c') } as const];
    coordinator.send({ kind: 'notice', id: 1, notices });
    await coordinator.got('ack');
    expect(client.lookup(inoOf(2), nameOf('e'))).toBeUndefined();
    const reading = client.readDirectory(inoOf(2), '', 100);
    const asked = await coordinator.asked('lookup');
    expect(asked.request.name).toBe('c');
    coordinator.reply(asked, { op: 'lookup', inode: leased(file(8)), entryLeased: true });
    expect((await reading).map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd']);
    expect(client.readDirectory(inoOf(2), '', 2)).toHaveLength(2);
    expect(coordinator.taken()).toEqual([]);
  });

  test('of an orphan that nobody uses here is answered with its release', async () => {
    const rig = await make();
    const { coordinator, host } = rig;
    await known(rig, 5);
    await known(rig, 6);
    host.used.add(inoOf(6));
    const orphaned = (ino: number) => ({ kind: 'inode', ino: inoOf(ino), orphaned: true }) as const;
    coordinator.send({ kind: 'notice', id: 1, notices: [orphaned(5), orphaned(6)] });
    await coordinator.got('ack');
    expect(await coordinator.got('release')).toEqual({ kind: 'release', inos: [5] });
  });
});

describe('a recall', () => {
  test('of a read lease drops what was kept before it is acknowledged', async () => {
    const rig = await make();
    const { client, coordinator, host } = rig;
    await acquired(rig, 5, 'read');
    let done: () => void = () => undefined;
    host.waits.set('read 5', new Promise((resolve) => (done = resolve)));
    coordinator.send({ kind: 'recall', id: 3, ino: inoOf(5), to: 'known' });
    await turns();
    expect(client.holds(inoOf(5), 'read')).toBe(false);
    expect(coordinator.taken()).toEqual([]);
    const again = client.acquire(inoOf(5), 'read');
    await turns();
    expect(coordinator.taken()).toEqual([]); // it waits for the acknowledgement
    done();
    expect(await coordinator.got('ack')).toEqual({ kind: 'ack', id: 3 });
    coordinator.reply(await coordinator.asked('acquire'), { op: 'acquire', inode: leased(file(5)) });
    await again;
    expect(client.holds(inoOf(5), 'read')).toBe(true);
  });

  test('of a write lease forbids new writes at once, and lets reads go on until the host is done', async () => {
    const rig = await make();
    const { client, coordinator, host } = rig;
    await acquired(rig, 5, 'write');
    let done: () => void = () => undefined;
    host.waits.set('write 5', new Promise((resolve) => (done = resolve)));
    coordinator.send({ kind: 'recall', id: 3, ino: inoOf(5), to: 'known' });
    await turns();
    expect(client.holds(inoOf(5), 'write')).toBe(false);
    expect(client.holds(inoOf(5), 'read')).toBe(true);
    expect(client.inode(inoOf(5))).toEqual(file(5));
    done();
    await coordinator.got('ack');
    expect(client.holds(inoOf(5), 'read')).toBe(false);
    expect(client.attributesLeased(inoOf(5))).toBe(false);
    expect(host.told).toEqual(['write 5', 'read 5']);
  });

  test('to read keeps the read lease', async () => {
    const rig = await make();
    const { client, coordinator, host } = rig;
    await acquired(rig, 5, 'write');
    coordinator.send({ kind: 'recall', id: 3, ino: inoOf(5), to: 'read' });
    await coordinator.got('ack');
    expect(host.told).toEqual(['write 5']);
    expect([client.holds(inoOf(5), 'write'), client.holds(inoOf(5), 'read')]).toEqual([false, true]);
  });

  test('in the frame of the grant leaves a turn to whoever asked for it', async () => {
    const { client, coordinator, host } = await make();
    const acquiring = client.acquire(inoOf(5), 'write');
    const { id } = await coordinator.asked('acquire');
    coordinator.send(
      { kind: 'reply', id, result: { op: 'acquire', inode: leased(file(5)) } },
      { kind: 'recall', id: 3, ino: inoOf(5), to: 'known' },
    );
    await acquiring;
    expect(client.holds(inoOf(5), 'write')).toBe(true);
    expect(await coordinator.got('ack')).toEqual({ kind: 'ack', id: 3 });
    expect(client.holds(inoOf(5), 'read')).toBe(false);
    expect(host.told).toEqual(['write 5', 'read 5']);
  });

  test('of what is not held is acknowledged at once', async () => {
    const { coordinator, host } = await make();
    coordinator.send({ kind: 'recall', id: 3, ino: inoOf(5), to: 'known' });
    expect(await coordinator.got('ack')).toEqual({ kind: 'ack', id: 3 });
    expect(host.told).toEqual([]);
  });

  test('makes void what was granted before the coordinator knew of the acknowledgement', async () => {
    const rig = await make();
    const { client, coordinator } = rig;
    await acquired(rig, 5, 'read');
    const asking = client.inode(inoOf(5));
    expect(asking).not.toBeInstanceOf(Promise);
    coordinator.send({ kind: 'notice', id: 1, notices: [{ kind: 'inode', ino: inoOf(5), orphaned: false }] });
    await coordinator.got('ack');
    const reading = client.inode(inoOf(5));
    const asked = await coordinator.asked('inode');
    coordinator.send({ kind: 'recall', id: 2, ino: inoOf(5), to: 'known' });
    await coordinator.got('ack');
    coordinator.reply(asked, { op: 'inode', inode: leased(file(5)) }); // sent before the ack was received
    expect(await reading).toEqual(file(5));
    expect(client.attributesLeased(inoOf(5))).toBe(false);
    expect(client.holds(inoOf(5), 'read')).toBe(false);
  });

  test('that comes before the answer to a create leaves no write lease', async () => {
    const { client, coordinator } = await make();
    const creating = client.execute(create(5));
    const asked = await coordinator.asked('execute');
    coordinator.send({ kind: 'recall', id: 2, ino: inoOf(5), to: 'known' });
    await coordinator.got('ack');
    coordinator.reply(asked, created(5));
    expect((await creating).inode.ino).toBe(5);
    expect(client.holds(inoOf(5), 'write')).toBe(false);
    expect(client.holds(inoOf(5), 'read')).toBe(false);
  });
});

test('a query is answered with what the writer knows', async () => {
  const { coordinator, host } = await make();
  const live = { size: 9, allocatedBytes: 512, atimeNs: time, mtimeNs: time, ctimeNs: time };
  host.live.set(inoOf(5), live);
  coordinator.send({ kind: 'query', id: 1, ino: inoOf(5) }, { kind: 'query', id: 2, ino: inoOf(6) });
  expect(await coordinator.got('ack')).toEqual({ kind: 'ack', id: 1, live });
  expect(await coordinator.got('ack')).toEqual({ kind: 'ack', id: 2 });
});

function create(ino: number): Command {
  const caller = { uid: 0, gid: 0 };
  return {
    ...{ kind: 'create', parent: inoOf(2), name: nameOf(`f${ino}`), ino: inoOf(ino), caller },
    ...{ mode: S_IFREG | 0o644, umask: 0, timeNs: time },
  };
}

const created = (ino: number) =>
  ({
    op: 'execute',
    inode: leased(file(ino)),
    writes: [
      { kind: 'inode', ino: inoOf(ino), record: file(ino) },
      { kind: 'dentry', parent: inoOf(2), name: nameOf(`f${ino}`), ino: inoOf(ino), type: S_IFREG },
      { kind: 'inode', ino: inoOf(2), record: directory(2, { entries: 1 }) },
    ],
    leased: [true, true, true],
  }) as const;

describe('a command', () => {
  test('brings the cache up to date; a created file is held for writing', async () => {
    const rig = await make();
    const { client, coordinator } = rig;
    await listed(rig, 2, { a: 5 });
    const creating = client.execute(create(9));
    coordinator.reply(await coordinator.asked('execute'), created(9));
    await creating;
    expect(client.holds(inoOf(9), 'write')).toBe(true);
    expect(client.lookup(inoOf(2), nameOf('f9'))).toEqual(file(9));
    expect(client.inode(inoOf(2))).toEqual(directory(2, { entries: 1 }));
    const names = await client.readDirectory(inoOf(2), '', 100);
    expect(names.map(({ name }) => name)).toEqual(['a', 'f9']);
    expect(client.acquire(inoOf(9), 'write')).toEqual(file(9));
    expect(coordinator.taken()).toEqual([]);
  });

  test('drops what it wrote and may not keep', async () => {
    const rig = await make();
    const { client, coordinator } = rig;
    await listed(rig, 2, { a: 5 });
    const creating = client.execute(create(9));
    coordinator.reply(await coordinator.asked('execute'), {
      ...created(9),
      inode: { record: file(9), leased: false, volatile: false },
      leased: [false, false, false],
    });
    await creating;
    expect(client.holds(inoOf(9), 'write')).toBe(false);
    expect(client.entryLeased(inoOf(2), nameOf('f9'))).toBe(false);
    expect(client.attributesLeased(inoOf(2))).toBe(false);
    expect(client.lookup(inoOf(2), nameOf('b'))).toBeUndefined(); // what else was listed stays
    expect(isAsked(client.readDirectory(inoOf(2), '', 100))).toBe(true);
  });

  test('commands are sent in order, with what has been answered', async () => {
    const { client, coordinator } = await make();
    const first = client.execute(create(5));
    const second = client.execute(create(6));
    const [one, two] = [await coordinator.asked('execute'), await coordinator.asked('execute')];
    expect([one.request.number, two.request.number]).toEqual([1, 2]);
    coordinator.reply(two, created(6));
    await second;
    expect(isAsked(client.execute(create(7)))).toBe(true);
    const three = await coordinator.asked('execute');
    expect([three.request.number, three.request.answeredBelow]).toEqual([3, 1]);
    coordinator.reply(one, created(5));
    await first;
    expect(isAsked(client.execute(create(8)))).toBe(true);
    expect((await coordinator.asked('execute')).request.answeredBelow).toBe(3);
  });

  test('a last commit gives the write lease up before it is answered', async () => {
    const rig = await make();
    const { client, coordinator } = rig;
    await acquired(rig, 5, 'write');
    const base = {
      baseVersion: 0,
      manifest: { kind: 'inline', blocks: [] },
      size: 0,
      allocatedBytes: 0,
    } as const;
    const committing = client.execute({ kind: 'commit', ino: inoOf(5), ...base });
    expect(client.holds(inoOf(5), 'write')).toBe(false);
    const acquiring = client.acquire(inoOf(5), 'write');
    const asked = await coordinator.asked('execute');
    await turns();
    expect(coordinator.taken()).toEqual([]); // the coordinator may not have come to the commit yet
    const record = file(5, { version: 1 });
    const writes = [{ kind: 'inode', ino: inoOf(5), record } as const];
    coordinator.reply(asked, { op: 'execute', inode: leased(record), writes, leased: [true] });
    await committing;
    expect(client.holds(inoOf(5), 'read')).toBe(true);
    expect(client.inode(inoOf(5))).toEqual(record);
    coordinator.reply(await coordinator.asked('acquire'), { op: 'acquire', inode: leased(record) });
    await acquiring;
    expect(client.holds(inoOf(5), 'write')).toBe(true);
  });

  test('an orphan is released when it is reaped, and the coordinator deletes it', async () => {
    const rig = await make();
    const { client, coordinator } = rig;
    const asking = client.inode(inoOf(5));
    coordinator.reply(await coordinator.asked('inode'), {
      ...{ op: 'inode', inode: leased(file(5, { nlink: 0 })) },
    });
    await asking;
    expect(await client.execute({ kind: 'reap', ino: inoOf(5) })).toEqual({ inode: file(5, { nlink: 0 }) });
    await turns();
    expect(coordinator.taken()).toEqual([{ kind: 'release', inos: [5] }]);
  });
});

describe('an inode that is not used any more', () => {
  test('is kept under its lease as long as it has a name', async () => {
    const rig = await make();
    await known(rig, 5);
    rig.client.unused(inoOf(5));
    await turns();
    expect(rig.coordinator.taken()).toEqual([]);
    expect(rig.client.inode(inoOf(5))).toEqual(file(5));
  });

  test('is asked for again when an answer was granted before its release was known', async () => {
    const rig = await make();
    const { client, coordinator } = rig;
    const asking = client.inode(inoOf(5));
    const asked = await coordinator.asked('inode');
    const notices = [{ kind: 'inode', ino: inoOf(5), orphaned: true } as const];
    coordinator.send({ kind: 'notice', id: 1, notices });
    await coordinator.got('release');
    coordinator.reply(asked, { op: 'inode', inode: leased(file(5)) });
    coordinator.reply(await coordinator.asked('inode'), { op: 'inode' });
    expect(await asking).toBeUndefined();
  });
});

describe('the cache', () => {
  test('is bounded: what was not used for longest is released, what the host uses is not', async () => {
    const rig = await make({ cacheInodesMax: 64 });
    const { client, coordinator, host } = rig;
    host.used.add(inoOf(100));
    for (let ino = 100; ino < 400; ino++) await known(rig, ino);
    await turns();
    const released = coordinator
      .taken()
      .flatMap((message) => (message.kind === 'release' ? message.inos : []));
    expect(released.length).toBeGreaterThan(220);
    expect(released).not.toContain(100);
    expect(client.report().cached.inodes).toBe(300 - released.length);
    expect(client.inode(inoOf(100))).toEqual(file(100));
    expect(client.inode(inoOf(399))).toEqual(file(399));
  });
});

test('a directory of several pages is read ahead, and is then complete', async () => {
  const { client, coordinator } = await make();
  const names = Array.from({ length: 2500 }, (_, i) => nameOf(`f${String(i).padStart(5, '0')}`));
  const serve = async (): Promise<void> => {
    for (let page = 0; page < 3; page++) {
      const asked = await coordinator.asked('read-directory');
      expect(asked.request.after).toBe(page === 0 ? '' : names[page * 1000 - 1]);
      const entries = names.slice(page * 1000, page * 1000 + 1000).map((name, i) => ({
        name,
        dentry: { ino: inoOf(10_000 + page * 1000 + i), type: S_IFREG },
      }));
      coordinator.reply(asked, { op: 'read-directory', entries, complete: page === 2, leased: true });
    }
  };
  const serving = serve();
  const found: string[] = [];
  for (;;) {
    const entries = await client.readDirectory(inoOf(2), (found.at(-1) ?? '') as Name, 256);
    if (found.length === 0) expect(entries).toHaveLength(256);
    found.push(...entries.map(({ name }) => name));
    if (entries.length < 256) break;
  }
  await serving;
  expect(found).toEqual(names);
  expect(coordinator.taken()).toEqual([]);
});
