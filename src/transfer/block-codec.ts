import { blake3 } from '@napi-rs/blake-hash';
import { Decoder, Encoder } from '@toondepauw/node-zstd';
import { createRequire } from 'node:module';
import { type BlockHash, GfsError } from '../core/index.js';

/** Where the hash workers load BLAKE3 from: they are plain JavaScript without an import path of their own. */
export const BLAKE3_MODULE = createRequire(import.meta.url).resolve('@napi-rs/blake-hash');

/** Level 3 is zstd's default: 7.5 times smaller source code at 159 MB/s (measured), level 1 hardly faster. */
const ZSTD_LEVEL = 3;
/** Compression pays when it saves at least an eighth: less is not worth decompressing at every read. */
const SAVED_FRACTION_MIN = 1 / 8;
/** What is tried first: incompressible data (video, archives) shows within 64 KiB. */
const PROBE_BYTES = 64 * 1024;
const ZSTD_MAGIC = 0xfd2fb528;

/** BLAKE3 of `bytes`. 3 µs for 4 KiB, 1 ms for 4 MiB. */
export function hashBlock(bytes: Uint8Array): BlockHash {
  return blake3(bufferOf(bytes)).toString('hex') as BlockHash;
}

/** A zstd frame of `plain` that is at least an eighth shorter, or `plain` itself. */
export async function compressWherePays(plain: Uint8Array): Promise<Uint8Array> {
  const input = bufferOf(plain);
  if (input.length > 2 * PROBE_BYTES) {
    const probe = input.subarray(0, PROBE_BYTES);
    const compressed = await new Encoder(ZSTD_LEVEL).encode(probe);
    if (compressed.length > probe.length * (1 - SAVED_FRACTION_MIN)) return plain;
  }
  const compressed = await new Encoder(ZSTD_LEVEL).encode(input);
  return compressed.length <= input.length * (1 - SAVED_FRACTION_MIN) ? compressed : plain;
}

/**
 * The plain bytes of a stored object, verified against their hash. An object as long as the block is the
 * block; a shorter one is a zstd frame of it.
 * @param plainBytes the length that the block should have: it decides which reading is tried. After a
 *   power cut a record's size may not belong to its manifest; the hash alone says what is right.
 * @throws GfsError CORRUPT
 */
export async function decodeBlock(
  hash: BlockHash,
  object: Uint8Array,
  plainBytes: number | undefined,
): Promise<Uint8Array> {
  const framed = object.length >= 4 && bufferOf(object).readUInt32LE(0) === ZSTD_MAGIC;
  if (!framed || object.length === plainBytes || plainBytes === undefined) {
    if (hashBlock(object) === hash) return object;
    if (!framed || object.length === plainBytes) throw corruptBlock(hash);
  }
  let plain: Buffer;
  try {
    plain = await new Decoder().decode(bufferOf(object));
  } catch (thrown) {
    throw corruptBlock(hash, thrown);
  }
  if (hashBlock(plain) !== hash) throw corruptBlock(hash);
  return plain;
}

export function corruptBlock(hash: BlockHash, cause?: unknown): GfsError {
  return new GfsError('CORRUPT', `stored bytes do not match their hash blake3:${hash}`, {
    context: { hash },
    ...(cause === undefined ? {} : { cause }),
  });
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
