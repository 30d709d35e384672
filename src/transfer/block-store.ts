import { type BlockHash, GfsError, toGfsError } from '../core/index.js';
import { type ManifestRef, NO_SOURCES } from '../namespace/index.js';
import type { ObjectStore } from '../sites/index.js';
import { compressWherePays, decodeBlock, hashBlock } from './block-codec.js';
import { BlockGuard } from './block-guard.js';
import { INLINE_BLOCKS_MAX, Manifest } from './manifest.js';

export interface BlockStoreOptions {
  /** 'none' lets a file and its block be one on the disk (hard link); 'zstd' saves space. */
  readonly compression: 'none' | 'zstd';
  /** False where others use the store too: a file must never be one with a block there. */
  readonly adopt?: boolean;
  /** Where there are several sites: this one, and the way to the others. */
  readonly sites?: SiteStores;
}

/** The stores of all sites, as a node of one of them sees them. */
export interface SiteStores {
  /** The site whose store this is. */
  readonly name: string;
  /** Another site's store; undefined when it may not be read now (down, or not known). */
  storeOf(site: string): Promise<ObjectStore | undefined>;
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
  readonly #options: BlockStoreOptions;

  constructor(store: ObjectStore, options: BlockStoreOptions) {
    this.store = store;
    this.#options = options;
  }

  /** The name of its site; undefined where there is one only. */
  get site(): string | undefined {
    return this.#options.sites?.name;
  }

  /** Whether a block's bytes may be one with a file's: see `ObjectStore.adopt`. */
  get adopts(): boolean {
    const { compression, adopt } = this.#options;
    return adopt !== false && compression === 'none' && this.store.adopt !== undefined;
  }

  /** False also for an object that cannot be the block by its length: it is then put anew. */
  async has(hash: BlockHash, plainBytes: number): Promise<boolean> {
    const info = await this.store.head(blockKey(hash));
    return info !== undefined && info.bytes > 0 && info.bytes <= plainBytes;
  }

  /**
   * From the own site where it is said to be there, else from the sources in their order, and last from
   * wherever it was not looked for yet (content addressing: the own site may have it by another file).
   * @param plainBytes the block's length; undefined when it is not known
   * @param sources as `InodeRecord.sources`
   * @throws GfsError CORRUPT, ENOENT, EIO, UNAVAILABLE: what the first of the places said
   */
  get(
    hash: BlockHash,
    plainBytes: number | undefined,
    sources: readonly string[] = NO_SOURCES,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    return this.#fromSources(sources, async (store) => {
      const object = await store.get(blockKey(hash), undefined, signal);
      return decodeBlock(hash, object.bytes, plainBytes);
    });
  }

  async #fromSources<T>(sources: readonly string[], read: (store: ObjectStore) => Promise<T>): Promise<T> {
    const { sites } = this.#options;
    if (sites === undefined) return read(this.store);
    const others = sources.filter((source) => source !== sites.name);
    const places = sources.includes(sites.name) ? [sites.name, ...others] : [...others, sites.name];
    let failure: GfsError | undefined;
    for (const place of places) {
      try {
        const store = place === sites.name ? this.store : await sites.storeOf(place);
        if (store !== undefined) return await read(store);
      } catch (thrown) {
        const error = toGfsError(thrown);
        if (error.code === 'CANCELLED') throw error;
        failure ??= error;
      }
    }
    throw failure ?? new GfsError('UNAVAILABLE', `no site that has it can be read: ${sources.join(', ')}`);
  }

  async put(hash: BlockHash, plain: Uint8Array, signal?: AbortSignal): Promise<void> {
    const body = this.#options.compression === 'zstd' ? await compressWherePays(plain) : plain;
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
  async loadManifest(
    ref: ManifestRef,
    sources: readonly string[] = NO_SOURCES,
    signal?: AbortSignal,
  ): Promise<Manifest> {
    if (ref.kind === 'inline') return Manifest.of(ref.blocks);
    try {
      return await this.#fromSources(sources, async (store) => {
        const object = await store.get(manifestKey(ref.hash), undefined, signal);
        return Manifest.decode(await decodeBlock(ref.hash, object.bytes, object.totalBytes));
      });
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
