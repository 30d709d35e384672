import { describe, expect, test } from '@jest/globals';
import { globalfsMounts, mountAt, mountOf, parseMountinfo, readMounts } from '../../src/cli/mountinfo.js';

const TEXT = [
  '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard',
  '40 27 0:55 / /globalfs rw,relatime shared:3 master:1 - fuse.globalfs globalfs:/var/lib/globalfs rw,user_id=0',
  '41 27 0:56 / /mnt/my\\040data\\134x ro,nosuid - fuse.globalfs globalfs:/state\\040dir rw',
  '42 27 0:57 / /mnt/sshfs rw - fuse.sshfs host:/ rw',
  '43 40 0:58 / /globalfs rw - fuse.globalfs globalfs:/other rw',
  '44 27 0:59 / /gr\u00c3\u00bcn rw - tmpfs none rw',
  'garbage',
  '',
].join('\n');

describe('mountinfo', () => {
  const entries = parseMountinfo(TEXT);

  test('fields are found whatever optional ones precede them, and unescaped', () => {
    expect(entries).toHaveLength(6);
    expect(entries[2]).toEqual({
      device: '0:56',
      mountpoint: '/mnt/my data\\x',
      readOnly: true,
      fsType: 'fuse.globalfs',
      source: 'globalfs:/state dir',
    });
    expect(entries[5]?.mountpoint).toBe('/grün');
  });

  test('our mounts are known by type and source', () => {
    expect(globalfsMounts(entries).map(({ stateDir }) => stateDir)).toEqual([
      '/var/lib/globalfs',
      '/state dir',
      '/other',
    ]);
  });

  test('of mounts on top of each other the last one is seen', () => {
    expect(mountAt('/globalfs', entries)?.device).toBe('0:58');
    expect(mountAt('/globalfs/dir', entries)).toBeUndefined();
  });

  test('a path belongs to the deepest mount above it, not to one with a similar name', () => {
    expect(mountOf('/globalfs/a/b', entries)?.device).toBe('0:58');
    expect(mountOf('/globalfs2/a', entries)?.device).toBe('254:0');
    expect(mountOf('/', entries)?.device).toBe('254:0');
  });

  test("this machine's own table has a root", () => {
    expect(mountOf('/', readMounts())?.mountpoint).toBe('/');
  });
});
