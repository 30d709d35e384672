import { type BlockHash, GfsError, type Ino, toGfsError } from '../core/index.js';
import { BLOCK_BYTES, type ManifestRef } from '../namespace/index.js';
import type { BlockStore } from './block-store.js';

/** Digits that name a block here: 52 bits, so that a million blocks clash with a chance of 1 in 10,000. */
const SHORT_HEX_DIGITS = 13;

export interface ScrubbedFile {
  readonly ino: Ino;
  readonly size: number;
  readonly manifest: ManifestRef;
}

export interface BlockDamage {
  readonly ino: Ino;
  /** Where in the file; 0 for a manifest. */
  readonly offset: number;
  readonly hash: BlockHash;
  readonly what: 'block' | 'manifest';
  readonly problem: 'missing' | 'corrupt';
}

type Finding = BlockDamage['problem'] | 'good';

/**
 * Checks every block of the files against the store, each block once, and yields what is wrong. Bound: 50
 * bytes of memory per distinct block.
 * @param deep reads and hashes the bytes; otherwise a block is good when its object is there
 * @throws GfsError UNAVAILABLE, EIO, when the store cannot be asked; CANCELLED
 */
export async function* scrub(
  blocks: BlockStore,
  files: Iterable<ScrubbedFile> | AsyncIterable<ScrubbedFile>,
  options: { readonly deep: boolean; readonly signal?: AbortSignal },
): AsyncIterable<BlockDamage> {
  const known = new Map<number, Finding>();
  for await (const { ino, size, manifest: ref } of files) {
    if (options.signal?.aborted === true) throw new GfsError('CANCELLED', 'the caller gave up');
    let manifest;
    try {
      manifest = await blocks.loadManifest(ref, undefined, options.signal);
    } catch (thrown) {
      const error = toGfsError(thrown);
      if (ref.kind === 'inline' || error.code !== 'CORRUPT') throw error;
      const problem = (error.cause as GfsError | undefined)?.code === 'ENOENT' ? 'missing' : 'corrupt';
      yield { ino, offset: 0, hash: ref.hash, what: 'manifest', problem };
      continue;
    }
    for (const { index, hash } of manifest.blocks()) {
      const offset = index * BLOCK_BYTES;
      const short = parseInt(hash.slice(0, SHORT_HEX_DIGITS), 16);
      const problem =
        known.get(short) ?? (await check(blocks, hash, Math.min(BLOCK_BYTES, size - offset), options));
      known.set(short, problem);
      if (problem !== 'good') yield { ino, offset, hash, what: 'block', problem };
    }
  }
}

async function check(
  blocks: BlockStore,
  hash: BlockHash,
  plainBytes: number,
  { deep, signal }: { readonly deep: boolean; readonly signal?: AbortSignal },
): Promise<Finding> {
  if (!deep) return (await blocks.has(hash, plainBytes)) ? 'good' : 'missing';
  try {
    await blocks.get(hash, plainBytes, undefined, signal);
    return 'good';
  } catch (thrown) {
    const error = toGfsError(thrown);
    if (error.code === 'ENOENT') return 'missing';
    if (error.code === 'CORRUPT') return 'corrupt';
    throw error;
  }
}
