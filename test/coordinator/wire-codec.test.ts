import { describe, expect, test } from '@jest/globals';
import fc, { type Arbitrary } from 'fast-check';
import { clientFrames, type FrameCodec, serverFrames } from '../../src/coordinator/wire/frame.js';
import { GFS_ERROR_CODES, GfsError } from '../../src/core/index.js';
import { clientMessages, requests, results, serverMessages } from './wire-messages.js';
import { decodeByProtobuf, encodeByProtobuf, wordsOf } from './wire-protobuf.js';

const RUNS = 200;

/** Every kind by itself, so that each is tried as often as the others. */
const kinds = [
  ...Object.entries<Arbitrary<object>>(clientMessages).map(
    ([kind, any]) => [`the client's ${kind}`, 'ClientFrame', clientFrames, any] as const,
  ),
  ...Object.entries<Arbitrary<object>>(requests).map(
    ([op, any]) =>
      [
        `the request ${op}`,
        'ClientFrame',
        clientFrames,
        any.map((request) => ({ kind: 'request', id: 7, request })),
      ] as const,
  ),
  ...Object.entries<Arbitrary<object>>(serverMessages).map(
    ([kind, any]) => [`the coordinator's ${kind}`, 'ServerFrame', serverFrames, any] as const,
  ),
  ...Object.entries<Arbitrary<object>>(results).map(
    ([op, any]) =>
      [
        `the result of ${op}`,
        'ServerFrame',
        serverFrames,
        any.map((result) => ({ kind: 'reply', id: 7, result })),
      ] as const,
  ),
];

describe('the wire is what globalfs.proto says', () => {
  for (const [what, frame, ours, any] of kinds) {
    const codec = ours as FrameCodec<object>;

    test(`${what} is read by protobufjs`, () => {
      const claim = fc.property(any, (message) => {
        expect(decodeByProtobuf(frame, codec.encode([message]))).toEqual([message]);
      });
      fc.assert(claim, { numRuns: RUNS });
    });

    test(`${what} is read when protobufjs wrote it`, () => {
      const claim = fc.property(any, (message) => {
        expect(codec.decode(encodeByProtobuf(frame, [message]))).toEqual([message]);
      });
      fc.assert(claim, { numRuns: RUNS });
    });
  }

  test('many messages in one frame keep their order', () => {
    const any = fc.array(fc.oneof(...Object.values<Arbitrary<object>>(clientMessages)), { maxLength: 30 });
    const codec = clientFrames as FrameCodec<object>;
    fc.assert(
      fc.property(any, (messages) => {
        const bytes = codec.encode(messages);
        expect(codec.decode(bytes)).toEqual(messages);
        expect(decodeByProtobuf('ClientFrame', bytes)).toEqual(messages);
      }),
      { numRuns: RUNS },
    );
  });

  test('every error code has its number', () => {
    const numbers = wordsOf('ErrorCode');
    numbers.delete('UNSPECIFIED');
    expect(new Set(numbers.keys())).toEqual(new Set(GFS_ERROR_CODES));
  });
});

describe('what is not well-formed', () => {
  const anyFrame = fc
    .array(fc.oneof(...Object.values<Arbitrary<object>>(clientMessages)), { minLength: 1, maxLength: 5 })
    .map((messages) => (clientFrames as FrameCodec<object>).encode(messages));

  /** A peer's bytes either are messages or a GfsError that says they are not. */
  function readOrRefused(codec: { decode(bytes: Uint8Array): unknown }, bytes: Uint8Array): void {
    try {
      codec.decode(bytes);
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(GfsError);
      expect(['CORRUPT', 'EINVAL', 'ENAMETOOLONG']).toContain((thrown as GfsError).code);
    }
  }

  test('a frame that was cut short is refused, or is a shorter frame', () => {
    fc.assert(
      fc.property(anyFrame, fc.nat(), (bytes, cut) => {
        readOrRefused(clientFrames, bytes.subarray(0, cut % bytes.length));
      }),
      { numRuns: 2000 },
    );
  });

  test('a frame with changed bytes is read or refused', () => {
    const change = fc.record({ at: fc.nat(), to: fc.nat(255) });
    fc.assert(
      fc.property(anyFrame, fc.array(change, { minLength: 1, maxLength: 5 }), (bytes, changes) => {
        const damaged = Uint8Array.from(bytes);
        for (const { at, to } of changes) damaged[at % damaged.length] = to;
        readOrRefused(clientFrames, damaged);
        readOrRefused(serverFrames, damaged);
      }),
      { numRuns: 5000 },
    );
  });

  test('random bytes are read or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        readOrRefused(clientFrames, bytes);
        readOrRefused(serverFrames, bytes);
      }),
      { numRuns: 5000 },
    );
  });

  const HUGE = [0xff, 0xff, 0xff, 0xff, 0x7f];
  test.each([
    ['a message longer than the frame', [0x0a, ...HUGE]],
    ['a name longer than its message', [0x0a, 10, 0x12, 8, 0x08, 1, 0x12, 4, 0x0a, 2, 0x12, 0x7f]],
    [
      'an integer of more than 53 bits',
      [0x0a, 11, 0x1a, 9, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    ],
    ['an integer that does not end', [0x0a, 14, 0x1a, 12, 0x08, ...Array<number>(11).fill(0x80)]],
    ['a group', [0x0b, 0x0c]],
    ['an inode number of 0', [0x0a, 5, 0x2a, 3, 0x0a, 1, 0]],
    ['a request of no kind', [0x0a, 4, 0x12, 2, 0x08, 1]],
  ])('%s is CORRUPT', (_what, bytes) => {
    expect(() => clientFrames.decode(Uint8Array.from(bytes))).toThrow(
      expect.objectContaining({ code: 'CORRUPT' }),
    );
  });

  test.each(['.', '..', 'a/b', 'a\0b', ''])('a name of %j is refused', (name) => {
    const request = { op: 'lookup', parent: 1, name };
    const bytes = encodeByProtobuf('ClientFrame', [{ kind: 'request', id: 1, request }]);
    expect(() => clientFrames.decode(bytes)).toThrow(GfsError);
  });

  test.each([
    ['a negative number', { kind: 'cancel', id: -1 }],
    ['a fraction', { kind: 'cancel', id: 0.5 }],
    ['NaN', { kind: 'cancel', id: NaN }],
    ['more than 2^53 - 1', { kind: 'cancel', id: 2 ** 53 }],
    ['a kind that does not exist', { kind: 'nonsense' }],
    [
      'a name with characters that are no bytes',
      { kind: 'request', id: 1, request: { op: 'lookup', parent: 1, name: 'ā' } },
    ],
  ])('%s is not sent: EINVAL', (_what, message) => {
    expect(() => clientFrames.encode([message as never])).toThrow(
      expect.objectContaining({ code: 'EINVAL' }),
    );
  });
});

describe('a peer of another version', () => {
  /** Field 15 with a string, 14 with a number, 13 with 8 bytes, 12 with 4. */
  const NEW_FIELDS = [0x7a, 3, 1, 2, 3, 0x70, 0x96, 1, 0x69, 1, 2, 3, 4, 5, 6, 7, 8, 0x65, 1, 2, 3, 4];

  test('fields that are not known are passed over', () => {
    const cancel = [0x08, 5, ...NEW_FIELDS];
    const message = [0x1a, cancel.length, ...cancel, ...NEW_FIELDS];
    const frame = Uint8Array.from([...NEW_FIELDS, 0x0a, message.length, ...message]);
    expect(clientFrames.decode(frame)).toEqual([{ kind: 'cancel', id: 5 }]);
  });

  test('messages of kinds that are not known are passed over', () => {
    const known = clientFrames.encode([{ kind: 'goodbye' }]);
    const frame = Uint8Array.from([0x0a, NEW_FIELDS.length, ...NEW_FIELDS, ...known]);
    expect(clientFrames.decode(frame)).toEqual([{ kind: 'goodbye' }]);
  });

  test('an error code that is not known is EIO', () => {
    const error = [0x08, 5, 0x10, 99, 0x1a, 1, 0x78];
    const frame = Uint8Array.from([0x0a, error.length + 2, 0x22, error.length, ...error]);
    expect(serverFrames.decode(frame)).toEqual([
      { kind: 'error', id: 5, code: 'EIO', message: 'x', retryable: false },
    ]);
  });

  test('lists of numbers are read one by one too', () => {
    const frame = Uint8Array.from([0x0a, 6, 0x2a, 4, 0x08, 3, 0x08, 4]);
    expect(clientFrames.decode(frame)).toEqual([{ kind: 'release', inos: [3, 4] }]);
  });
});
