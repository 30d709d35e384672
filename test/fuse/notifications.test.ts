import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FuseDevice } from '../../src/fuse/device.js';
import { NotifyCode } from '../../src/fuse/protocol/constants.js';
import { CLayout } from './layout.js';

let layout: CLayout;
let folder: string;
let fd: number;
beforeAll(async () => {
  layout = await CLayout.load();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'globalfs-test-'));
  fd = openSync(join(folder, 'device'), 'w+');
});
afterEach(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

/** What a device writes to the kernel; here to a file, which takes the same write(2). */
async function written(notify: (device: FuseDevice) => Promise<void>, code: NotifyCode): Promise<Buffer> {
  await notify(new FuseDevice(fd));
  const bytes = readFileSync(join(folder, 'device'));
  const header = { len: BigInt(bytes.length), error: BigInt(code), unique: 0n };
  expect(layout.decode('fuse_out_header', bytes)).toEqual(header);
  return bytes.subarray(layout.sizeOf('fuse_out_header'));
}

describe('notifications have the layout of the C structures', () => {
  test.each([
    ['attributes only', false, 2n ** 64n - 1n], // -1
    ['attributes and data', true, 0n],
  ])('an inode changed: %s', async (_what, data, off) => {
    const bytes = await written((device) => device.notifyInvalInode(2 ** 40, data), NotifyCode.INVAL_INODE);
    expect(bytes.length).toBe(layout.sizeOf('fuse_notify_inval_inode_out'));
    expect(layout.decode('fuse_notify_inval_inode_out', bytes)).toEqual({ ino: 2n ** 40n, off, len: 0n });
  });

  test('a name changed', async () => {
    const bytes = await written((device) => device.notifyInvalEntry(7, 'a\xffb'), NotifyCode.INVAL_ENTRY);
    expect(layout.decode('fuse_notify_inval_entry_out', bytes)).toEqual({ parent: 7n, namelen: 3n });
    expect(bytes.subarray(layout.sizeOf('fuse_notify_inval_entry_out'))).toEqual(
      Buffer.from('a\xffb\0', 'latin1'),
    );
  });

  test('a name was deleted', async () => {
    const bytes = await written((device) => device.notifyDelete(7, 8, 'abc'), NotifyCode.DELETE);
    expect(layout.decode('fuse_notify_delete_out', bytes)).toEqual({ parent: 7n, child: 8n, namelen: 3n });
    expect(bytes.subarray(layout.sizeOf('fuse_notify_delete_out')).toString()).toBe('abc\0');
  });

  test('all names are to be asked for again', async () => {
    expect((await written((device) => device.notifyNewEpoch(), NotifyCode.INC_EPOCH)).length).toBe(0);
  });
});
