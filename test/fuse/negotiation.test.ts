import { beforeAll, describe, expect, test } from '@jest/globals';
import { GfsError } from '../../src/core/index.js';
import { type Negotiated, negotiate, type Wishes } from '../../src/fuse/negotiation.js';
import { InitFlag, InitFlag2, Opcode } from '../../src/fuse/protocol/constants.js';
import { ReplyWriter } from '../../src/fuse/protocol/reply.js';
import { CLayout } from './layout.js';
import { makeRequest } from './requests.js';

let layout: CLayout;
beforeAll(async () => {
  layout = await CLayout.load();
});

const OUT = 16;
const EVERYTHING = { passthrough: true, sharedLocks: true, sharedContent: false };
const ALL_FLAGS = 0xffff_ffff;

interface Offer {
  readonly major?: number;
  readonly minor: number;
  readonly flags?: number;
  readonly flags2?: number;
  readonly maxReadahead?: number;
}

function offer(wishes: Wishes, { major = 7, minor, flags = ALL_FLAGS, flags2 = 0, maxReadahead = 0 }: Offer) {
  const fields = { major, minor, max_readahead: maxReadahead, flags, flags2 };
  const whole = layout.encode('fuse_init_in', fields);
  // Before 7.36 the request ended here: what lies behind it in the buffer is not flags2.
  const sent = minor < 36 ? whole.subarray(0, layout.offsetOf('fuse_init_in', 'flags2')) : whole;
  const writer = new ReplyWriter(256);
  const negotiated: Negotiated | undefined = negotiate(
    makeRequest(layout, Opcode.INIT, sent),
    writer,
    wishes,
  );
  writer.end();
  expect(writer.length).toBe(OUT + layout.sizeOf('fuse_init_out'));
  return { negotiated, answer: layout.decode('fuse_init_out', writer.bytes, OUT) };
}

describe('INIT', () => {
  test('with a kernel of today: its version, passthrough, requests of 1 MiB', () => {
    const { negotiated, answer } = offer(EVERYTHING, { minor: 45, flags2: 1 << 5 });
    expect(negotiated).toEqual({ minor: 45, passthrough: true });
    expect(answer).toMatchObject({ major: 7n, minor: 45n, max_write: 1_048_576n, max_pages: 256n });
    expect(answer).toMatchObject({ time_gran: 1n, flags2: BigInt(InitFlag2.PASSTHROUGH) });
    expect(Number(answer.flags) & InitFlag.MAX_PAGES).not.toBe(0);
  });

  test('a kernel with a newer minor version is answered with ours', () => {
    const { negotiated, answer } = offer(EVERYTHING, { minor: 99 });
    expect([negotiated?.minor, answer.minor]).toEqual([45, 45n]);
  });

  test('a kernel with a newer major version is told ours, and asks again', () => {
    const { negotiated, answer } = offer(EVERYTHING, { major: 8, minor: 1 });
    expect(negotiated).toBeUndefined();
    expect(answer).toMatchObject({ major: 7n, minor: 45n });
  });

  test.each([
    [7, 30],
    [7, 8],
    [6, 99],
  ])('a kernel that is too old (%i.%i) is refused, by a message that says what is needed', (major, minor) => {
    const refused = (): unknown => offer(EVERYTHING, { major, minor });
    expect(refused).toThrow(GfsError);
    expect(refused).toThrow(expect.objectContaining({ code: 'ENOSYS' }));
    expect(refused).toThrow(`the kernel speaks FUSE ${major}.${minor}; 7.31 or later is needed (Linux 5.4)`);
  });

  test('the oldest kernel that is served has no second word of flags', () => {
    const { negotiated, answer } = offer(EVERYTHING, { minor: 31 });
    expect(negotiated).toEqual({ minor: 31, passthrough: false });
    expect(answer).toMatchObject({ minor: 31n, flags2: 0n });
  });

  test.each([
    ['the kernel does not offer it', EVERYTHING, ALL_FLAGS, 0],
    ['the kernel has no second word of flags', EVERYTHING, ~InitFlag.INIT_EXT >>> 0, 1 << 5],
    ['nobody wants it', { passthrough: false, sharedLocks: false, sharedContent: false }, ALL_FLAGS, 1 << 5],
  ])('no passthrough where %s', (_why, wishes, flags, flags2) => {
    const { negotiated, answer } = offer(wishes, { minor: 45, flags, flags2 });
    expect(negotiated?.passthrough).toBe(false);
    expect(answer.flags2).toBe(0n);
  });

  test('nothing is asked for that the kernel does not offer', () => {
    for (let bit = 0; bit < 32; bit++) {
      const flags = (1 << bit) >>> 0;
      const { answer } = offer(EVERYTHING, { minor: 45, flags });
      expect(answer.flags === 0n || answer.flags === BigInt(flags)).toBe(true);
    }
  });

  test('locks stay with the kernel unless they are to be shared', () => {
    const locks = InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS;
    const asked = (sharedLocks: boolean): number =>
      Number(offer({ passthrough: true, sharedLocks, sharedContent: false }, { minor: 45 }).answer.flags) &
      locks;
    expect([asked(false), asked(true)]).toEqual([0, locks]);
  });

  test('the kernel asks for attributes before it reads from its pages only where content is shared', () => {
    const both = InitFlag.AUTO_INVAL_DATA | InitFlag.EXPLICIT_INVAL_DATA;
    const asked = (sharedContent: boolean): number =>
      Number(offer({ ...EVERYTHING, sharedContent }, { minor: 45 }).answer.flags) & both;
    expect([asked(false), asked(true)]).toEqual([InitFlag.EXPLICIT_INVAL_DATA, InitFlag.AUTO_INVAL_DATA]);
  });

  test('the kernel may write sizes and times only through us: no writeback cache', () => {
    const FUSE_WRITEBACK_CACHE = 1 << 16;
    const { answer } = offer(EVERYTHING, { minor: 45, flags2: ALL_FLAGS });
    expect(Number(answer.flags) & FUSE_WRITEBACK_CACHE).toBe(0);
  });

  test('read-ahead is at least 4 MiB, and more where the kernel wants more', () => {
    expect(offer(EVERYTHING, { minor: 45, maxReadahead: 131_072 }).answer.max_readahead).toBe(4_194_304n);
    expect(offer(EVERYTHING, { minor: 45, maxReadahead: 8_388_608 }).answer.max_readahead).toBe(8_388_608n);
  });
});
