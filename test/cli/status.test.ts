import { expect, test } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { globalfs } from '../support/globalfs.js';
import { cli, withMount } from '../support/mounted.js';
import { shell } from '../support/run.js';

interface Report {
  readonly state: string;
  readonly mountpoint: string;
  readonly error?: string;
}

/** What `status` says of one mount; the other mounts of this machine are not ours. */
async function stateOf(mountpoint: string): Promise<Report | undefined> {
  const { stdout } = await globalfs(['status', '-o', 'json'], { timeoutMs: 30_000 });
  const said = JSON.parse(stdout) as Report[] | { mounts: Report[] };
  // An object where another mount on this machine belongs to a cluster.
  return ('mounts' in said ? said.mounts : said).find((report) => report.mountpoint === mountpoint);
}

test('a mount that hangs is reported, and not waited for', async () => {
  await withMount({}, async (m) => {
    expect(await stateOf(m.mountpoint)).toMatchObject({ state: 'serving' });
    process.kill(m.pid, 'SIGSTOP');
    try {
      expect(await stateOf(m.mountpoint)).toMatchObject({
        state: 'unreachable',
        error: expect.stringContaining('does not answer'),
      });
    } finally {
      process.kill(m.pid, 'SIGCONT');
    }
    expect(await stateOf(m.mountpoint)).toMatchObject({ state: 'serving' });
    await m.kill();
    expect(await stateOf(m.mountpoint)).toMatchObject({ state: 'stale' });
    await m.start();
  });
});

test('a mount is shown in every format', async () => {
  await withMount({}, async (m) => {
    for (const format of ['table', 'wide', 'json', 'yaml']) {
      const { stdout, code } = await globalfs(['status', '-o', format]);
      expect(code).toBe(0);
      expect(stdout).toContain(m.mountpoint);
      expect(stdout).toContain(String(m.pid));
    }
  });
});

test('a reader that is slow gets all of the output', async () => {
  await withMount({}, async (m) => {
    const file = join(m.mountpoint, 'file');
    writeFileSync(file, 'x');
    // 1,000 reports of some 400 bytes: several times what a pipe holds (64 KiB).
    const paths = Array.from({ length: 1000 }, () => file).join(' ');
    const { stdout } = await shell(`node ${cli} info -o json ${paths} | { sleep 1; cat; }`);
    expect(JSON.parse(stdout)).toHaveLength(1000);
  });
});
