import { expect, test } from '@jest/globals';
import { globalfs } from '../support/globalfs.js';
import { withMount } from '../support/mounted.js';

interface Report {
  readonly state: string;
  readonly mountpoint: string;
  readonly error?: string;
}

/** What `status` says of one mount; the other mounts of this machine are not ours. */
async function stateOf(mountpoint: string): Promise<Report | undefined> {
  const { stdout } = await globalfs(['status', '-o', 'json'], { timeoutMs: 30_000 });
  return (JSON.parse(stdout) as Report[]).find((report) => report.mountpoint === mountpoint);
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
