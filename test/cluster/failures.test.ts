import { describe, expect, jest, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { withCluster, type Cluster, type ClusterPlan } from '../support/cluster.js';
import { Desks, Pending, said } from '../support/cluster/desk.js';
import { isRoot } from '../support/mounted.js';
import type { Worker } from '../support/workload/worker.js';

/** One page: it is read and written as one. */
const LENGTH = 4096;
const TTL_MS = 3_000;
/** Twice what a coordinator waits for a silent session, on a busy machine. */
const EXPIRED_MS = 2 * TTL_MS;

interface Stage {
  readonly cluster: Cluster;
  /** A new worker on the mount with this number. */
  readonly at: (mount: number) => Promise<Worker>;
}

async function staged(plan: Partial<ClusterPlan>, body: (stage: Stage) => Promise<void>): Promise<void> {
  await withCluster({ etcd: 1, mounts: 2, sessionTtl: `${TTL_MS / 1000}s`, ...plan }, async (cluster) => {
    const desks = new Desks(cluster.reaper);
    try {
      await body({ cluster, at: (mount) => desks.at(cluster.mount(mount)) });
    } finally {
      await desks.end();
    }
  });
}

const write = async (worker: Worker, name: string, value: string, as = 'fresh'): Promise<string> =>
  said(await worker.ask('write', as, name, value, LENGTH));
const writeSynced = async (worker: Worker, name: string, value: string, as = 'fresh'): Promise<string> =>
  said(await worker.ask('write-sync', as, name, value, LENGTH));
const read = async (worker: Worker, name: string, as = 'fresh'): Promise<string> =>
  said(await worker.ask('read', as, name));

/** Asks until the answer is as expected; gives the last answer when time is up. */
async function eventually(question: () => Promise<string>, expected: string): Promise<string> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const answer = await question();
    if (answer === expected || performance.now() > deadline) return answer;
    await delay(200);
  }
}

/** Four waits for what never comes (`Desks`), and what is shown then. */
jest.setTimeout(240_000);

const onRoot = isRoot ? describe : describe.skip;

onRoot('without failures', () => {
  test('each of many names that six processes on three mounts create exclusively is one’s alone', async () => {
    await staged({ mounts: 3, etcd: 0 }, async ({ at }) => {
      const workers = await Promise.all([0, 1, 2, 0, 1, 2].map(at));
      for (let i = 0; i < 150; i++) {
        const answers = await Promise.all(workers.map((worker) => worker.ask('create', `n${i}`)));
        const outcomes = answers.map(({ outcome }) => outcome).sort();
        expect(outcomes).toEqual(['EEXIST', 'EEXIST', 'EEXIST', 'EEXIST', 'EEXIST', 'ok']);
      }
    });
  });

  test('records that three mounts append to one log are all there, once', async () => {
    await staged({ mounts: 3, etcd: 0 }, async ({ at }) => {
      const workers = await Promise.all([0, 1, 2, 0, 1, 2].map(at));
      const appended = await Promise.all(
        workers.map(async (worker, w) => {
          const records = Array.from({ length: 100 }, (_, i) => `w${w}-${i}`);
          for (const [i, record] of records.entries()) {
            const as = i % 3 === 0 ? 'fresh' : 'kept';
            expect((await worker.ask('append', as, 'log', record)).outcome).toBe('ok');
          }
          return records;
        }),
      );
      for (const worker of workers) {
        const { result } = await worker.ask('records', 'fresh', 'log');
        const records = result.split(',');
        expect([...records].sort()).toEqual(appended.flat().sort());
        // And each writer's own are in its order.
        for (const own of appended) expect(records.filter((record) => own.includes(record))).toEqual(own);
      }
    });
  });

  test('a file that is unlinked elsewhere stays whole for who has it open, and is deleted when it is closed', async () => {
    await staged({ etcd: 0 }, async ({ cluster, at }) => {
      const [one, other] = await Promise.all([at(0), at(1)]);
      expect(await writeSynced(one, 'f', '1', 'kept')).toBe('ok');
      const { inodes } = await cluster.status();
      expect(await read(other, 'f')).toBe('ok 1');
      expect(said(await other.ask('unlink', 'f'))).toBe('ok');
      expect(said(await one.ask('look', 'f'))).toBe('ENOENT');
      expect(await read(one, 'f', 'kept')).toBe('ok 1');
      expect(await writeSynced(one, 'f', '2', 'kept')).toBe('ok');
      expect(await read(one, 'f', 'kept')).toBe('ok 2');
      expect((await cluster.status()).inodes).toBe(inodes);
      await one.ask('drop', '-');
      expect(await eventually(async () => String((await cluster.status()).inodes), String(inodes - 1))).toBe(
        String(inodes - 1),
      );
    });
  });

  test('a lock that is held on one mount is waited for on another, and handed on', async () => {
    await staged({ etcd: 0 }, async ({ at }) => {
      const [one, other] = await Promise.all([at(0), at(1)]);
      await one.ask('create', 'lock');
      expect(said(await one.ask('lock', 'lock'))).toBe('ok');
      expect(said(await other.ask('try-lock', 'lock'))).toBe('EAGAIN');
      const waiting = new Pending(other.ask('lock', 'lock'));
      await delay(1000);
      expect(waiting.ended).toBe(false);
      expect(said(await one.ask('unlock', 'lock'))).toBe('ok');
      expect(await waiting.answer).toBe('ok');
      expect(said(await one.ask('try-lock', 'lock'))).toBe('EAGAIN');
    });
  });
});

onRoot('a coordinator that is killed', () => {
  test.each([
    ['is followed by its standby', 2],
    ['is waited for until it is back', 1],
  ] as const)('%s: programs pause, see no error, and lose nothing', async (_title, coordinators) => {
    await staged({ mounts: 3, coordinators, sessionTtl: '10s' }, async ({ cluster, at }) => {
      const workers = await Promise.all([0, 1, 2].map(at));
      let stop = false;
      const wrong: string[] = [];
      const appended = workers.map(async (worker, w) => {
        const own: string[] = [];
        for (let i = 0; !stop; i++) {
          const answers = [
            said(await worker.ask('append', 'kept', 'log', `w${w}-${i}`)),
            said(await worker.ask('mkdir', `d${w}-${i}`)),
            await write(worker, `f${w}-${i}`, `${i}`),
          ];
          wrong.push(...answers.filter((answer) => answer !== 'ok'));
          own.push(`w${w}-${i}`);
        }
        return own;
      });
      for (let kills = 0; kills < 3; kills++) {
        await delay(1500);
        const leader = await cluster.leader();
        await leader.kill();
        if (coordinators === 1) await delay(1500);
        await leader.start();
      }
      stop = true;
      const records = (await Promise.all(appended)).flat();
      expect(wrong).toEqual([]);
      expect(records.length).toBeGreaterThan(30);
      for (const worker of workers) {
        const { result } = await worker.ask('records', 'fresh', 'log');
        expect(result.split(',').sort()).toEqual([...records].sort());
        for (const record of records) {
          expect(await read(worker, record.replace('w', 'f'))).toBe(`ok ${record.split('-')[1]}`);
          expect((await worker.ask('look', record.replace('w', 'd'))).outcome).toBe('ok');
        }
      }
    });
  });

  test('keeps locks for their holders', async () => {
    await staged({ coordinators: 2, sessionTtl: '10s' }, async ({ cluster, at }) => {
      const [one, other] = await Promise.all([at(0), at(1)]);
      await one.ask('create', 'lock');
      expect(said(await one.ask('lock', 'lock'))).toBe('ok');
      await (await cluster.leader()).kill();
      expect(said(await other.ask('try-lock', 'lock'))).toBe('EAGAIN');
      expect(said(await one.ask('unlock', 'lock'))).toBe('ok');
      expect(said(await other.ask('lock', 'lock'))).toBe('ok');
    });
  });
});

onRoot('a mount that is killed', () => {
  test('lets others go on when its leases and locks have run out', async () => {
    await staged({}, async ({ cluster, at }) => {
      const [one, other] = await Promise.all([at(0), at(1)]);
      await one.ask('create', 'lock');
      expect(await writeSynced(one, 'f', '1', 'kept')).toBe('ok');
      expect(said(await one.ask('lock', 'lock'))).toBe('ok');
      await cluster.mount(0).kill();
      const waiting = new Pending(other.ask('lock', 'lock'));
      expect(await read(other, 'f')).toBe('ok 1');
      expect(await writeSynced(other, 'f', '2')).toBe('ok');
      expect(await waiting.answer).toBe('ok');
      await cluster.mount(0).start();
      expect(await read(await at(0), 'f')).toBe('ok 2');
    });
  });

  test('comes back and stores what it had staged', async () => {
    await staged({ store: 's3' }, async ({ cluster, at }) => {
      const [one, other] = await Promise.all([at(0), at(1)]);
      expect(await writeSynced(one, 'f', '1')).toBe('ok');
      cluster.storeProxy?.cut();
      expect(await write(one, 'f', '2')).toBe('ok');
      // Past the flush interval: it is staged, and being sent in vain.
      await delay(7_000);
      await cluster.mount(0).kill();
      cluster.storeProxy?.heal();
      await cluster.mount(0).start();
      expect(await eventually(() => read(other, 'f'), 'ok 2')).toBe('ok 2');
      expect(await read(await at(0), 'f')).toBe('ok 2');
    });
  });
});

onRoot('a mount that is cut off', () => {
  test('waits, and goes on when it is connected again', async () => {
    await staged({}, async ({ cluster, at }) => {
      const [one, other] = await Promise.all([at(0), at(1)]);
      expect(await write(one, 'f', '1')).toBe('ok');
      cluster.mount(1).cut();
      const reading = new Pending(other.ask('read', 'fresh', 'f'));
      await delay(EXPIRED_MS);
      expect(reading.ended).toBe(false);
      cluster.mount(1).heal();
      expect(await reading.answer).toBe('ok 1');
    });
  });

  test('serves nothing stale: what it has cached is asked for once its lease has run out', async () => {
    await staged({}, async ({ cluster, at }) => {
      const [one, other] = await Promise.all([at(0), at(1)]);
      expect(await writeSynced(one, 'f', '1')).toBe('ok');
      expect(await read(other, 'f', 'kept')).toBe('ok 1');
      cluster.mount(1).cut();
      // It waits for the silent reader's lease.
      expect(await writeSynced(one, 'f', '2')).toBe('ok');
      const readings = [
        new Pending(other.ask('read', 'kept', 'f')),
        new Pending((await at(1)).ask('read', 'fresh', 'f')),
        new Pending((await at(1)).ask('size', 'f')),
      ];
      await delay(1000);
      expect(readings.map(({ ended }) => ended)).toEqual([false, false, false]);
      cluster.mount(1).heal();
      expect(await Promise.all(readings.map(({ answer }) => answer))).toEqual([
        'ok 2',
        'ok 2',
        `ok ${LENGTH}`,
      ]);
    });
  });

  test('fails with EIO after the time that it was given', async () => {
    const mounts = [{}, { config: ['unreachable: 5s'] }];
    await staged({ mounts }, async ({ cluster, at }) => {
      const [one, other] = await Promise.all([at(0), at(1)]);
      expect(await write(one, 'f', '1')).toBe('ok');
      cluster.mount(1).cut();
      const answer = await other.ask('read', 'fresh', 'f');
      expect(said(answer)).toBe('EIO');
      expect(answer.endedNs - answer.beganNs).toBeGreaterThan(4e9);
      expect(said(await other.ask('create', 'g'))).toBe('EIO');
      cluster.mount(1).heal();
      expect(await eventually(() => read(other, 'f'), 'ok 1')).toBe('ok 1');
      expect(said(await other.ask('look', 'g'))).toBe('ENOENT');
    });
  });
});

onRoot('a mount that sleeps past its leases', () => {
  test('cannot overwrite what came after: its late write is refused, kept aside and reported', async () => {
    await staged({}, async ({ cluster, at }) => {
      const [one, other] = await Promise.all([at(0), at(1)]);
      expect(await writeSynced(one, 'f', '1', 'kept')).toBe('ok');
      expect(await write(one, 'f', '2', 'kept')).toBe('ok');
      cluster.mount(0).freeze();
      expect(await writeSynced(other, 'f', '3')).toBe('ok');
      cluster.mount(0).thaw();
      const late = await one.ask('sync', 'f');
      expect(late.outcome).not.toBe('LOST');
      const reader = await at(0);
      expect(await eventually(() => read(reader, 'f'), 'ok 3')).toBe('ok 3');
      expect(await read(other, 'f')).toBe('ok 3');
      const conflicts = async (): Promise<string> => {
        const reports = await cluster.reports();
        return String(reports.find(({ member }) => member === 'm1')?.health?.conflicts);
      };
      expect(await eventually(conflicts, '1')).toBe('1');
      expect(cluster.mount(0).log()).toMatch(/conflict/i);
      // Who has it open still is told, and who opens it anew goes on.
      expect(await write(one, 'f', '5', 'kept')).toBe('EIO');
      await one.ask('drop', '-');
      expect(await writeSynced(reader, 'f', '4')).toBe('ok');
      expect(await read(other, 'f')).toBe('ok 4');
    });
  });

  test('shows nothing stale from its kernel’s cache once it goes on', async () => {
    await staged({}, async ({ cluster, at }) => {
      const [one, other] = await Promise.all([at(0), at(1)]);
      expect(await writeSynced(other, 'f', '1')).toBe('ok');
      expect(await read(one, 'f', 'kept')).toBe('ok 1');
      cluster.mount(0).freeze();
      expect(await writeSynced(other, 'f', '2')).toBe('ok');
      expect((await other.ask('create', 'new')).outcome).toBe('ok');
      const asking = [
        new Pending((await at(0)).ask('read', 'fresh', 'f')),
        new Pending((await at(0)).ask('size', 'new')),
      ];
      await delay(1000);
      expect(asking.map(({ ended }) => ended)).toEqual([false, false]);
      cluster.mount(0).thaw();
      expect(await Promise.all(asking.map(({ answer }) => answer))).toEqual(['ok 2', 'ok 0']);
      // Before it went on, its kernel answered this from its pages: nobody could tell it (doc/LEASES.md, Time).
      expect(await read(one, 'f', 'kept')).toBe('ok 2');
    });
  });
});

onRoot('a store that hangs', () => {
  test('delays who needs it, and nobody else', async () => {
    await staged({ store: 's3' }, async ({ cluster, at }) => {
      const [one, other] = await Promise.all([at(0), at(1)]);
      expect(await writeSynced(one, 'cached', '1')).toBe('ok');
      expect(await read(other, 'cached')).toBe('ok 1');
      cluster.rgw?.process('osd').freeze();
      expect(await write(one, 'fresh', '2')).toBe('ok');
      expect(await read(one, 'fresh')).toBe('ok 2');
      expect(await read(other, 'cached')).toBe('ok 1');
      expect(said(await other.ask('mkdir', 'd'))).toBe('ok');
      expect(said(await one.ask('rename', 'd', 'e'))).toBe('ok');
      const reading = new Pending(other.ask('read', 'fresh', 'fresh'));
      await delay(3000);
      expect(reading.ended).toBe(false);
      cluster.rgw?.process('osd').thaw();
      expect(await reading.answer).toBe('ok 2');
    });
  });
});
