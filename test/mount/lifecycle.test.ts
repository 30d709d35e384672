import { describe, expect, test } from '@jest/globals';
import { chmod, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { globalfs } from '../support/globalfs.js';
import { isMounted, isRoot, peer, withMount } from '../support/mounted.js';
import { Reaper } from '../support/reaper.js';
import { shell } from '../support/run.js';

const onGlobalfs = peer === 'globalfs' ? test : test.skip;
const NOBODY = 65534;

interface Status {
  state: string;
  pid: number;
  mountpoint: string;
  stateDir: string;
}

/** Whether a process still runs; one that has ended and waits for its parent (state Z) does not. */
async function runs(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => ') Z');
  return text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3) !== 'Z';
}

/** udev gives /dev/fuse to everybody; a bare machine without udev may not: then it does while `body` runs. */
async function withOpenDevice<T>(body: () => Promise<T>): Promise<T> {
  const before = (await stat('/dev/fuse')).mode & 0o777;
  if ((before & 0o006) === 0o006) return body();
  await chmod('/dev/fuse', 0o666);
  try {
    return await body();
  } finally {
    await chmod('/dev/fuse', before);
  }
}

describe('mounting and unmounting', () => {
  onGlobalfs('in the background: mount returns when it serves, umount when all is stored', async () => {
    await withMount({}, async (m) => {
      const [mountpoint, state] = [join(m.plain, 'second'), join(m.plain, 'state')];
      await mkdir(mountpoint);
      const reaper = new Reaper();
      reaper.mount(mountpoint);
      try {
        expect(await globalfs(['mount', '--state', state, mountpoint])).toMatchObject({ code: 0 });
        await writeFile(join(mountpoint, 'f'), 'second');
        await writeFile(join(m.mountpoint, 'f'), 'first');
        const all = JSON.parse((await globalfs(['status', '-o', 'json'])).stdout) as Status[];
        const mine = all.find((one) => one.mountpoint === mountpoint);
        expect(mine).toMatchObject({ state: 'serving', stateDir: state });
        reaper.process(mine?.pid ?? 0);
        expect(all.map((one) => one.mountpoint)).toContain(m.mountpoint);
        const info = await globalfs(['info', '-o', 'json', join(mountpoint, 'f')]);
        expect(JSON.parse(info.stdout)).toMatchObject([{ size: 6, nlink: 1, type: 'file' }]);
        expect((await globalfs(['fsck', mountpoint, '-o', 'json'])).code).toBe(0);
        expect((await globalfs(['gc', mountpoint, '-o', 'json'])).code).toBe(0);
        // The same state, or the same place, a second time: refused, and nothing is harmed.
        expect((await globalfs(['mount', '--state', state, join(m.plain, 'third')])).code).toBe(5);
        expect((await globalfs(['mount', '--state', join(m.plain, 's3'), mountpoint])).code).toBe(5);
        expect(await globalfs(['umount', mountpoint])).toMatchObject({ code: 0 });
        expect(await isMounted(mountpoint)).toBe(false);
        expect(await runs(mine?.pid ?? 0)).toBe(false);
        expect((await globalfs(['umount', mountpoint])).code).not.toBe(0);
        await globalfs(['mount', '--state', state, mountpoint]);
        expect(await readFile(join(mountpoint, 'f'), 'latin1')).toBe('second');
        expect(await readFile(join(m.mountpoint, 'f'), 'latin1')).toBe('first');
        expect((await globalfs(['umount', mountpoint])).code).toBe(0);
      } finally {
        await reaper.finish();
      }
    });
  });

  onGlobalfs.each(['SIGTERM', 'SIGINT'] as const)(
    '%s unmounts cleanly, also while files are open',
    async (name) => {
      await withMount({}, async (m) => {
        const file = await open(join(m.mountpoint, 'open'), 'w+');
        await file.write('written before the signal');
        expect(await m.signal(name)).toBe(0);
        expect(await isMounted(m.mountpoint)).toBe(false);
        await file.close().catch(() => undefined); // its filesystem is gone
        await m.start();
        expect(await readFile(join(m.mountpoint, 'open'), 'latin1')).toBe('written before the signal');
      });
    },
  );

  onGlobalfs('the stale mount point of a killed mount is replaced at once', async () => {
    await withMount({}, async (m) => {
      for (let i = 0; i < 3; i++) {
        await writeFile(join(m.mountpoint, `f${i}`), 'x');
        await m.kill();
        await m.start();
      }
      await m.umount();
      expect(await isMounted(m.mountpoint)).toBe(false);
      await m.start();
    });
  });

  (isRoot ? test : test.skip)('a normal user mounts through fusermount3', async () => {
    await withOpenDevice(() =>
      withMount({ asUser: NOBODY }, async (m) => {
        const user = { cwd: '/', asUser: NOBODY };
        await shell(
          `cd ${m.mountpoint}; echo mine > f; mkdir d; ln f d/g; ln -s f l; test "$(cat l)" = mine
         test "$(stat -c %u:%h f)" = ${NOBODY}:2; for i in $(seq 200); do echo $i > d/$i; done`,
          user,
        );
        await m.restart();
        expect((await shell(`cat ${m.mountpoint}/f; ls ${m.mountpoint}/d | wc -l`, user)).stdout).toBe(
          'mine\n201\n',
        );
      }),
    );
  });

  onGlobalfs('a read-only mount refuses every change', async () => {
    await withMount({}, async (m) => {
      await writeFile(join(m.mountpoint, 'f'), 'x');
      await m.umount();
      const args = ['mount', '--state', m.stateDir, '-o', 'ro', m.mountpoint];
      expect(await globalfs(args)).toMatchObject({ code: 0 });
      const tries = 'touch new f; mkdir d; rm f; mv f g; chmod 600 f; ln f g; truncate -s 0 f; echo y >> f';
      const said = await shell(`set +e; ${tries}; true`, { cwd: m.mountpoint });
      expect(said.stderr.match(/Read-only file system/g)?.length).toBeGreaterThanOrEqual(8);
      expect(await readFile(join(m.mountpoint, 'f'), 'latin1')).toBe('x');
      await globalfs(['umount', m.mountpoint]);
      await m.start();
    });
  });
});
