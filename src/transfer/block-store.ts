import { type BlockHash, GfsError, toGfsError } from '../core/index.js';
import type { ManifestRef } from '../namespace/index.js';
import type { ObjectStore } from '../sites/index.js';
import { compressWherePays, decodeBlock, hashBlock } from './block-codec.js';
import { BlockGuard } from './block-guard.js';
import { INLINE_BLOCKS_MAX, Manifest } from './manifest.js';

export interface BlockStoreOptions {
  /** 'none' lets a file and its block be one on the disk (hard link); 'zstd' saves space. */
  readonly compression: 'none' | 'zstd';
}

/** A range of a local file that is to become a block. */
export interface BlockSource {
  readonly path: string;
  readonly fd: number;
  readonly offset: number;
  readonly length: number;
  readonly fileBytes: number;
}

const fanOut = (kind: string, hash: string): string =>
  `${kind}/${hash.slice(0, 2)}/${hash.slice(2, 4)}/${hash}`;

export const blockKey = (hash: BlockHash): string => fanOut('blocks', hash);
export const manifestKey = (hash: BlockHash): string => fanOut('manifests', hash);

/** Blocks and manifests over a site's objects. What is read is verified against its hash. */
export class BlockStore {
  readonly store: ObjectStore;
  readonly guard = new BlockGuard();
  readonly #compression: BlockStoreOptions['compression'];

  constructor(store: ObjectStore, options: BlockStoreOptions) {
    this.store = store;
    this.#compression = options.compression;
  }

  /** Whether a block's bytes may be one with a file's: see `ObjectStore.adopt`. */
  get adopts(): boolean {
    return this.#compression === 'none' && this.store.adopt !== undefined;
  }

  /** False also for an object that cannot be the block by its length: it is then put anew. */
  async has(hash: BlockHash, plainBytes: number): Promise<boolean> {
    const info = await this.store.head(blockKey(hash));
    return info !== undefined && info.bytes > 0 && info.bytes <= plainBytes;
  }

  /**
   * @param plainBytes the block's length; undefined when it is not known
   * @throws GfsError CORRUPT, ENOENT, EIO, UNAVAILABLE
   */
  async get(hash: BlockHash, plainBytes: number | undefined, signal?: AbortSignal): Promise<Uint8Array> {
    const object = await this.store.get(blockKey(hash), undefined, signal);
    return decodeBlock(hash, object.bytes, plainBytes);
  }

  async put(hash: BlockHash, plain: Uint8Array, signal?: AbortSignal): Promise<void> {
    const body = this.#compression === 'zstd' ? await compressWherePays(plain) : plain;
    await this.store.put(blockKey(hash), body, signal);
  }

  /** Makes the block of a range of a file without copying it; undefined when that cannot be. */
  async adopt(hash: BlockHash, source: BlockSource): Promise<'linked' | 'reflinked' | undefined> {
    return this.adopts ? this.store.adopt?.(blockKey(hash), source) : undefined;
  }

  /** Gives a block that was 'linked' bytes of its own. */
  async unshare(hash: BlockHash): Promise<void> {
    await this.store.unshare?.(blockKey(hash));
  }

  async putManifest(manifest: Manifest): Promise<ManifestRef> {
    if (manifest.count <= INLINE_BLOCKS_MAX) return { kind: 'inline', blocks: [...manifest.blocks()] };
    const bytes = manifest.encode();
    const hash = hashBlock(bytes);
    await this.guard.use(hash);
    if ((await this.store.head(manifestKey(hash))) === undefined)
      await this.store.put(manifestKey(hash), bytes);
    return { kind: 'object', hash };
  }

  /** @throws GfsError CORRUPT, also when the manifest object is missing */
  async loadManifest(ref: ManifestRef, signal?: AbortSignal): Promise<Manifest> {
    if (ref.kind === 'inline') return Manifest.of(ref.blocks);
    try {
      const object = await this.store.get(manifestKey(ref.hash), undefined, signal);
      return Manifest.decode(await decodeBlock(ref.hash, object.bytes, object.totalBytes));
    } catch (thrown) {
      const error = toGfsError(thrown);
      if (error.code !== 'ENOENT') throw error;
      throw new GfsError('CORRUPT', 'the manifest is missing in the store', {
        cause: thrown,
        context: { manifest: ref.hash },
      });
    }
  }

  sync(): Promise<void> {
    return this.store.sync();
  }
}
