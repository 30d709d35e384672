import { beforeAll, describe, expect, test } from '@jest/globals';
import * as constants from '../../src/fuse/protocol/constants.js';
import { CLayout } from './layout.js';

let layout: CLayout;
beforeAll(async () => {
  layout = await CLayout.load();
});

/** Newer than Debian 12's header (7.38): checked where the header has them. */
const NEWER = new Set(['FUSE_PASSTHROUGH', 'FOPEN_PASSTHROUGH', 'FUSE_NOTIFY_INC_EPOCH']);

function expectSame(ours: Readonly<Record<string, number>>, cName: (name: string) => string): void {
  const names = Object.keys(ours).filter((name) => !/^[0-9]+$/.test(name)); // an enum maps back, too
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) {
    const theirs = layout.constants.get(cName(name));
    if (theirs === undefined && NEWER.has(cName(name))) continue;
    expect([name, BigInt((ours[name] ?? NaN) >>> 0)]).toEqual([name, theirs]);
  }
}

describe('constants are those of <linux/fuse.h> and the C library', () => {
  const fuse = (name: string): string => `FUSE_${name}`;

  test('opcodes', () => expectSame(constants.Opcode as never, fuse));
  test('INIT flags', () => expectSame(constants.InitFlag, fuse));
  test('SETATTR bits', () => expectSame(constants.SetattrValid, (name) => `FATTR_${name}`));
  test('open reply flags', () => expectSame(constants.OpenReplyFlag, (name) => `FOPEN_${name}`));
  test('notifications', () => expectSame(constants.NotifyCode as never, (name) => `FUSE_NOTIFY_${name}`));

  test('the second word of INIT flags counts from bit 32', () => {
    const theirs = layout.constants.get('FUSE_PASSTHROUGH');
    if (theirs !== undefined) expect(BigInt(constants.InitFlag2.PASSTHROUGH) << 32n).toBe(theirs);
  });

  test('flags of requests', () => {
    const { OPEN_KILL_SUIDGID, WRITE_CACHE, WRITE_KILL_SUIDGID, RELEASE_FLOCK_UNLOCK, LK_FLOCK } = constants;
    const { SETXATTR_ACL_KILL_SGID, FSYNC_DATASYNC } = constants;
    expectSame(
      {
        OPEN_KILL_SUIDGID,
        WRITE_CACHE,
        WRITE_KILL_SUIDGID,
        RELEASE_FLOCK_UNLOCK,
        LK_FLOCK,
        SETXATTR_ACL_KILL_SGID,
      },
      fuse,
    );
    expect(BigInt(FSYNC_DATASYNC)).toBe(layout.constants.get('FUSE_FSYNC_FDATASYNC'));
  });

  test('numbers of the C library', () => {
    const { O_ACCMODE, O_RDONLY, O_WRONLY, O_TRUNC, O_DSYNC, O_APPEND, F_RDLCK, F_WRLCK, F_UNLCK } =
      constants;
    const { RENAME_NOREPLACE, RENAME_EXCHANGE, XATTR_CREATE, XATTR_REPLACE } = constants;
    const files = { O_ACCMODE, O_RDONLY, O_WRONLY, O_TRUNC, O_DSYNC, O_APPEND, F_RDLCK, F_WRLCK, F_UNLCK };
    expectSame({ ...files, RENAME_NOREPLACE, RENAME_EXCHANGE, XATTR_CREATE, XATTR_REPLACE }, (name) => name);
  });

  test('header sizes and the major version', () => {
    expect(constants.IN_HEADER_BYTES).toBe(layout.sizeOf('fuse_in_header'));
    expect(constants.OUT_HEADER_BYTES).toBe(layout.sizeOf('fuse_out_header'));
    expect(BigInt(constants.FUSE_KERNEL_MAJOR)).toBe(layout.constants.get('FUSE_KERNEL_VERSION'));
    // FUSE_MIN_READ_BUFFER: the kernel refuses to be read with less room than this.
    expect(constants.REQUEST_ROOM_BYTES).toBeGreaterThanOrEqual(
      layout.sizeOf('fuse_in_header') + layout.sizeOf('fuse_write_in'),
    );
  });
});
