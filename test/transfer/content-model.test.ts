import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as fs from 'node:fs';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  type Ino,
} from '../../src/core/index.js';
import { BLOCK_BYTES } from '../../src/namespace/index.js';
import type { OpenContent } from '../../src/transfer/index.js';
import { pattern, Rig } from './rig.js';

/** Three blocks and a bit: every case of first, middle, last and short last block. */
const SIZE_MAX = 3 * BLOCK_BYTES + 5000;
const FILES = 2;

interface Model {
  bytes: Buffer;
}

type Step =
  | { do: 'write'; file: number; offset: number; length: number; seed: number }
  | { do: 'truncate'; file: number; size: number }
  | { do: 'rewrite'; file: number; length: number; seed: number }
  | { do: 'fallocate'; file: number; mode: number; offset: number; length: number }
  | { do: 'hold'; file: number; intent: 'read' | 'write' }
  | { do: 'letGo'; file: number }
  | { do: 'check'; file: number; offset: number; length: number }
  | { do: 'seal' }
  | { do: 'evict'; file: number }
  | { do: 'restart'; how: 'clean' | 'unclean' };

const file = fc.nat(FILES - 1);
const seed = fc.integer({ min: 1, max: 1000 });
/** Offsets lie at and around block edges, and anywhere. */
const offset = fc.oneof(
  fc.nat(SIZE_MAX),
  fc
    .tuple(fc.nat(3), fc.constantFrom(-4097, -1, 0, 1, 4096))
    .map(([block, delta]) => Math.max(0, block * BLOCK_BYTES + delta)),
);
const length = fc.oneof(
  fc.integer({ min: 1, max: 10_000 }),
  fc.constantFrom(BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES),
);
const mode = fc.constantFrom(
  0,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_ZERO_RANGE,
  FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('write' as const), file, offset, length, seed }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('truncate' as const), file, size: offset }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rewrite' as const), file, length, seed }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fallocate' as const), file, mode, offset, length }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('hold' as const),
      file,
      intent: fc.constantFrom('read' as const, 'write' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('letGo' as const), file }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('check' as const), file, offset, length }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('seal' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('evict' as const), file }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('restart' as const),
      how: fc.constantFrom('clean' as const, 'unclean' as const),
    }),
  },
);

/** Drives a cache and a plain byte array with the same steps. */
class Run {
  readonly #rig: Rig;
  readonly #models: Model[];
  #held: { file: number; intent: 'read' | 'write'; content: OpenContent }[] = [];

  constructor(rig: Rig) {
    this.#rig = rig;
    this.#models = Array.from({ length: FILES }, () => ({ bytes: Buffer.alloc(0) }));
    for (let each = 0; each < FILES; each++) rig.cache.close(rig.create(each + 1), 'write');
  }

  async step(todo: Step): Promise<void> {
    switch (todo.do) {
      case 'write':
        await this.#write(todo.file, pattern(todo.length, todo.seed), todo.offset);
        break;
      case 'truncate':
        await this.#withOpen(todo.file, 'write', (content) => content.truncate(todo.size));
        this.#resize(todo.file, todo.size);
        break;
      case 'rewrite': {
        const bytes = pattern(todo.length, todo.seed);
        await this.#withOpen(todo.file, 'truncate', (content) => {
          fs.writeSync(content.fd, bytes, 0, bytes.length, 0);
        });
        this.#model(todo.file).bytes = bytes;
        break;
      }
      case 'fallocate':
        await this.#fallocate(todo.file, todo.mode, todo.offset, todo.length);
        break;
      case 'hold': {
        const content = await this.#rig.cache.open(this.#rig.inodes.get(todo.file + 1), todo.intent);
        this.#held.push({ file: todo.file, intent: todo.intent, content });
        break;
      }
      case 'letGo':
        this.#letGo((held) => held.file === todo.file);
        break;
      case 'check':
        await this.#check(todo.file, todo.offset, todo.length);
        break;
      case 'seal':
        await this.#rig.cache.flushAll();
        break;
      case 'evict':
        await this.#rig.cache.flushAll();
        if (this.#rig.cache.peek((todo.file + 1) as Ino) === undefined) await this.#rig.evict(todo.file + 1);
        break;
      case 'restart':
        this.#letGo(() => true);
        await this.#rig.restart(todo.how);
        break;
    }
  }

  async finish(): Promise<void> {
    this.#letGo(() => true);
    for (let each = 0; each < FILES; each++) await this.#check(each, 0, SIZE_MAX * 2);
    await this.#rig.cache.flushAll();
    for (let each = 0; each < FILES; each++) {
      await this.#rig.evict(each + 1);
      expect(Buffer.compare(await this.#rig.read(each + 1), this.#model(each).bytes)).toBe(0);
    }
  }

  #model(which: number): Model {
    const model = this.#models[which];
    if (model === undefined) throw new Error(`no file ${which}`);
    return model;
  }

  #letGo(which: (held: { file: number }) => boolean): void {
    for (const held of this.#held.filter(which)) this.#rig.cache.close(held.content, held.intent);
    this.#held = this.#held.filter((held) => !which(held));
  }

  #resize(which: number, size: number): void {
    const model = this.#model(which);
    const bytes = Buffer.alloc(size);
    model.bytes.copy(bytes);
    model.bytes = bytes;
  }

  async #write(which: number, bytes: Buffer, at: number): Promise<void> {
    await this.#withOpen(which, 'write', async (content) => {
      await content.ensureForWrite(at, bytes.length);
      fs.writeSync(content.fd, bytes, 0, bytes.length, at);
    });
    if (at + bytes.length > this.#model(which).bytes.length) this.#resize(which, at + bytes.length);
    bytes.copy(this.#model(which).bytes, at);
  }

  async #fallocate(which: number, how: number, at: number, count: number): Promise<void> {
    await this.#withOpen(which, 'write', (content) => content.fallocate(how, at, count));
    const model = this.#model(which);
    const end = at + count;
    if ((how & FALLOC_FL_KEEP_SIZE) === 0 && end > model.bytes.length) this.#resize(which, end);
    const { bytes } = this.#model(which);
    if ((how & ~FALLOC_FL_KEEP_SIZE) !== 0 && at < bytes.length)
      bytes.fill(0, at, Math.min(end, bytes.length));
  }

  async #check(which: number, at: number, count: number): Promise<void> {
    const { bytes } = this.#model(which);
    await this.#withOpen(which, 'read', async (content) => {
      expect(content.stat().size).toBe(bytes.length);
      checkSeek(content, bytes, at);
      await content.ensure(at, count);
      const expected = bytes.subarray(at, at + count);
      const found = Buffer.alloc(expected.length);
      fs.readSync(content.fd, found, 0, found.length, at);
      expect(Buffer.compare(found, expected)).toBe(0);
    });
  }

  async #withOpen(
    which: number,
    intent: 'read' | 'write' | 'truncate',
    work: (content: OpenContent) => Promise<void> | void,
  ): Promise<void> {
    const content = await this.#rig.cache.open(this.#rig.inodes.get(which + 1), intent);
    try {
      await work(content);
    } finally {
      this.#rig.cache.close(content, intent);
    }
  }
}

/** SEEK_DATA never skips a byte that is not zero. */
function checkSeek(content: OpenContent, bytes: Buffer, at: number): void {
  if (at >= bytes.length) {
    expect(() => content.seek(at, 3)).toThrow(expect.objectContaining({ code: 'ENXIO' }));
    return;
  }
  let data = bytes.length;
  try {
    data = content.seek(at, 3);
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'ENXIO' });
  }
  expect(bytes.subarray(at, data).equals(Buffer.alloc(data - at))).toBe(true);
  const hole = content.seek(at, 4);
  expect(hole).toBeGreaterThanOrEqual(at);
  expect(hole).toBeLessThanOrEqual(bytes.length);
}

describe('content behaves as plain files do, whatever is opened, sealed, evicted and restarted', () => {
  test.each(['none', 'zstd'] as const)('compression %s', async (compression) => {
    // A busy machine does fewer: each run moves a few hundred MB.
    const deadlineMs = performance.now() + 45_000;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        if (performance.now() > deadlineMs) return;
        const rig = await Rig.make({ compression });
        try {
          const run = new Run(rig);
          for (const each of steps) await run.step(each);
          await run.finish();
        } finally {
          await rig.end();
        }
      }),
      { numRuns: Number(process.env.GLOBALFS_TEST_RUNS ?? 15) },
    );
  });
});
