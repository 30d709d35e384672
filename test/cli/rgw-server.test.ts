import { afterEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RgwServer } from '../../src/cli/dev/rgw-server.js';
import { isRunning, processId } from '../../src/cli/processes.js';
import { RGW_BUCKET, TestRgw } from '../support/rgw.js';

const path = process.env.PATH;
afterEach(() => {
  process.env.PATH = path;
});

describe('the local S3 server', () => {
  test('names the packages to install when its programs are missing', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'globalfs-rgw-'));
    process.env.PATH = directory;
    await expect(RgwServer.start({ directory, users: [] })).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringMatching(
        /apt-get install -y --no-install-recommends ceph-mon ceph-osd ceph-common radosgw$/,
      ),
    });
    await rm(directory, { recursive: true });
  });

  test('runs as processes of ours, which stop ends', async () => {
    const rgw = await TestRgw.start();
    try {
      const running = rgw.server.pids.map((pid) => processId(pid));
      expect(running).toHaveLength(3);
      expect(rgw.server.storeSpec(RGW_BUCKET)).toMatchObject({
        endpoint: rgw.server.endpoint,
        bucket: RGW_BUCKET,
      });
      await rgw.server.stop();
      expect(rgw.server.pids).toEqual([]);
      expect(running.filter((id) => id !== undefined && isRunning(id))).toEqual([]);
    } finally {
      await rgw.end();
    }
  });
});
