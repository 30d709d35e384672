import { describe, expect, test } from '@jest/globals';
import { BLOCK_BYTES } from '../../src/namespace/index.js';
import { BlockCopies } from '../../src/transfer/block-copies.js';

/** Bytes that are in use until `end` is called. */
function begin(copies: BlockCopies, length: number): { bytes: Buffer; end(error?: Error): Promise<void> } {
  let finish: (error?: Error) => void = () => undefined;
  const finished = new Promise<void>((resolve, reject) => {
    finish = (error) => (error === undefined ? resolve() : reject(error));
  });
  let bytes: Buffer = Buffer.alloc(0);
  const used = copies.use(length, (given) => {
    bytes = given;
    return finished;
  });
  return {
    bytes,
    end: (error) => {
      finish(error);
      return used;
    },
  };
}

describe('BlockCopies', () => {
  test('two who work at the same time have memory of their own', () => {
    const copies = new BlockCopies();
    const [one, other] = [begin(copies, BLOCK_BYTES), begin(copies, BLOCK_BYTES)];
    expect(one.bytes).toHaveLength(BLOCK_BYTES);
    expect(one.bytes.buffer).not.toBe(other.bytes.buffer);
  });

  test('who comes after another, while somebody works, is given the memory of that one', async () => {
    const copies = new BlockCopies();
    const [one, other] = [begin(copies, BLOCK_BYTES), begin(copies, BLOCK_BYTES)];
    await one.end();
    const next = begin(copies, BLOCK_BYTES);
    expect(next.bytes.buffer).toBe(one.bytes.buffer);
    await Promise.all([other.end(), next.end()]);
    expect(begin(copies, BLOCK_BYTES).bytes.buffer).not.toBe(next.bytes.buffer); // nobody worked: it is let go of
  });

  test('memory of work that failed is not used again', async () => {
    const copies = new BlockCopies();
    const [one, other] = [begin(copies, BLOCK_BYTES), begin(copies, BLOCK_BYTES)];
    await expect(one.end(new Error('broken off'))).rejects.toThrow('broken off');
    const next = begin(copies, BLOCK_BYTES);
    expect([one.bytes.buffer, other.bytes.buffer]).not.toContain(next.bytes.buffer);
  });

  test('a short block has memory of its length', () => {
    expect(begin(new BlockCopies(), 5000).bytes).toHaveLength(5000);
  });
});
