import * as fs from 'node:fs';
import {
  type BlockHash,
  errorFields,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  GfsError,
  type Ino,
  type Logger,
  native,
} from '../core/index.js';
import { BLOCK_BYTES } from '../namespace/index.js';
import { hashBlock } from './block-codec.js';
import type { BlockFetcher } from './block-fetcher.js';
import type { BlockStore } from './block-store.js';
import { type CachedFile, type CacheIndex, fingerprintOf } from './cache-index.js';
import { type CacheLayout, removeFile } from './cache-layout.js';
import { fdatasync } from './file-calls.js';
import type { Manifest } from './manifest.js';
import type { NodeContent } from './node-content.js';
import { writeStagingBase } from './staging-base.js';
import { PresenceMap } from './presence.js';

const { O_CREAT, O_EXCL, O_RDWR } = fs.constants;

export interface OpenerOptions {
  readonly layout: CacheLayout;
  readonly index: CacheIndex;
  readonly blocks: BlockStore;
  readonly fetcher: BlockFetcher;
  readonly logger: Logger;
}

/** Makes content files ready: finds or makes the cache file, and turns clean content into staged. */
export class ContentOpener {
  readonly #options: OpenerOptions;

  constructor(options: OpenerOptions) {
    this.#options = options;
  }

  /** A new inode's empty staging file; what a crash left of a create that was never recorded is replaced. */
  createStaging(ino: Ino): number {
    const path = this.#options.layout.staging(ino);
    try {
      return fs.openSync(path, O_CREAT | O_RDWR | O_EXCL, 0o600);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
      fs.unlinkSync(path); // not truncated: it may be one with its block
      return fs.openSync(path, O_CREAT | O_RDWR | O_EXCL, 0o600);
    }
  }

  /**
   * Opens the file of staged content that nobody has open. True when it must be separated from its block
   * at once: after a crash between link and commit it is not known which block that is.
   */
  openStaged(content: NodeContent): boolean {
    content.fd = fs.openSync(this.#options.layout.staging(content.ino), O_RDWR);
    return content.linkedTo === undefined && fs.fstatSync(content.fd).nlink > 1;
  }

  /** After a start: what a staged file has, and how large the version was that the rest is from. */
  loadPresence(content: NodeContent): void {
    if (content.presence !== undefined) return;
    const presence = PresenceMap.load(this.#options.layout.presence(content.ino));
    if (presence === 'damaged') {
      throw new GfsError('CORRUPT', 'the presence map of a staged file is damaged', {
        context: { ino: content.ino },
      });
    }
    if (presence === undefined) return;
    content.presence = presence;
    content.base = { ...content.base, size: presence.baseBytes };
  }

  /** Opens clean content: the cache file if it is right, else a new one whose blocks are absent. */
  async openClean(content: NodeContent): Promise<void> {
    const { layout, index } = this.#options;
    const { ino, base } = content;
    if (base.version === 0 && base.size > 0) {
      // What a power cut took before it was synced or sealed; zeros would be wrong bytes.
      throw new GfsError('EIO', 'the content of this file was never stored, and is not staged here', {
        context: { ino, size: base.size },
      });
    }
    const known = index.get(ino);
    const fd = known === undefined ? undefined : openOrUndefined(layout.cache(ino));
    if (known !== undefined && fd !== undefined) {
      content.fd = fd;
      try {
        if (await this.#isUsable(content, known)) return;
      } catch (thrown) {
        this.#options.logger.warn('a cache file could not be checked', { ino, ...errorFields(thrown) });
      }
      content.fd = -1;
      content.presence?.close();
      content.presence = undefined;
      fs.closeSync(fd);
    }
    this.dropClean(ino);
    await this.#makeAbsent(content);
  }

  /** Forgets a clean cache file, and deletes it. */
  dropClean(ino: Ino): void {
    for (const path of this.forgetClean(ino)) removeFile(path);
  }

  /**
   * @returns what is to be deleted, in this order: the file goes before its map, for without a map it would
   *   count as whole. Most files are whole, and to look for a map that is not there costs as much as an unlink.
   */
  forgetClean(ino: Ino): string[] {
    const { layout, index } = this.#options;
    const known = index.get(ino);
    index.delete(ino);
    return known?.partial === false ? [layout.cache(ino)] : [layout.cache(ino), layout.presence(ino)];
  }

  /** Clean and open becomes staged: nothing that is durable may be changed before it is so by itself. */
  async stage(content: NodeContent, truncate: boolean): Promise<void> {
    const { layout, index } = this.#options;
    const { ino } = content;
    const shared = fs.fstatSync(content.fd).nlink > 1;
    if (shared && content.readers === 0) {
      await this.#replaceByCopy(content, layout.cache(ino), truncate);
      index.delete(ino);
      removeFile(layout.cache(ino));
      return;
    }
    if (shared) await this.#unshare(content, content.linkedTo ?? (await this.#onlyBlock(content)));
    // A power cut must not leave the seal a file whose old bytes had not reached the disk.
    else if (!truncate && content.base.size > 0) await fdatasync(content.fd);
    index.delete(ino);
    writeStagingBase(layout, ino, content.base.version);
    fs.renameSync(layout.cache(ino), layout.staging(ino));
    content.moved(true);
  }

  /** Staged content for `truncate` of which nothing is open: nothing of the old is needed. */
  stageEmpty(content: NodeContent): void {
    this.dropClean(content.ino);
    writeStagingBase(this.#options.layout, content.ino, content.base.version);
    content.fd = this.createStaging(content.ino);
    content.moved(true);
  }

  /** Staged and open content that a seal made one with its block gets bytes of its own. */
  async separate(content: NodeContent, truncate: boolean): Promise<void> {
    if (fs.fstatSync(content.fd).nlink > 1) {
      if (content.readers === 0) {
        await this.#replaceByCopy(content, this.#options.layout.staging(content.ino), truncate);
      } else await this.#unshare(content, content.linkedTo);
    }
    content.linkedTo = undefined;
  }

  /** Makes a private copy of `from` the staging file, and opens it. */
  async #replaceByCopy(content: NodeContent, from: string, empty: boolean): Promise<void> {
    const { layout } = this.#options;
    const temporary = layout.temporary(content.ino);
    removeFile(temporary);
    if (!empty) await fs.promises.copyFile(from, temporary, fs.constants.COPYFILE_FICLONE);
    const fd = fs.openSync(temporary, O_CREAT | O_RDWR, 0o600);
    try {
      const old = fs.fstatSync(content.fd);
      fs.futimesSync(fd, old.atimeMs / 1000, old.mtimeMs / 1000);
      if (!empty) await fdatasync(fd);
      fs.renameSync(temporary, layout.staging(content.ino));
    } catch (thrown) {
      fs.closeSync(fd);
      throw thrown;
    }
    fs.closeSync(content.fd);
    content.fd = fd;
    content.moved(true);
  }

  async #unshare(content: NodeContent, hash: BlockHash | undefined): Promise<void> {
    if (hash !== undefined) await this.#options.blocks.unshare(hash);
    if (fs.fstatSync(content.fd).nlink > 1) {
      throw new GfsError('EIO', 'a content file has a name that is not ours; writing would change that too', {
        context: { ino: content.ino },
      });
    }
    content.linkedTo = undefined;
  }

  async #onlyBlock(content: NodeContent): Promise<BlockHash | undefined> {
    content.manifest ??= await this.#options.blocks.loadManifest(content.base.manifest, content.base.sources);
    return content.manifest.hashOf(0);
  }

  /** Whether the cache file is the version that is asked for; verifies its bytes where that is in doubt. */
  async #isUsable(content: NodeContent, known: CachedFile): Promise<boolean> {
    const { layout, index } = this.#options;
    const stat = fs.fstatSync(content.fd, { bigint: true });
    const { base } = content;
    if (Number(stat.size) !== base.size) return false;
    const now = fingerprintOf(stat);
    const vouched =
      known.generation === index.generation &&
      known.version === base.version &&
      known.fingerprint.ctimeNs === now.ctimeNs &&
      known.fingerprint.mtimeNs === now.mtimeNs;
    if (!vouched) return this.#reverify(content, Number(stat.nlink));
    if (!known.partial) return true;
    const presence = PresenceMap.load(layout.presence(content.ino));
    if (presence === undefined || presence === 'damaged' || presence.baseBytes !== base.size) return false;
    content.presence = presence;
    return true;
  }

  /**
   * One block is verified here and now. Of more, each is verified when it is first read: until then it
   * counts as absent. Holes are made holes again.
   */
  async #reverify(content: NodeContent, links: number): Promise<boolean> {
    const { base } = content;
    content.manifest = await this.#options.blocks.loadManifest(base.manifest, base.sources);
    content.unindexed = true;
    if (base.size <= BLOCK_BYTES) {
      const hash = content.manifest.hashOf(0);
      if (hash === undefined) return base.size === 0;
      removeFile(this.#options.layout.presence(content.ino));
      return hashBlock(await fs.promises.readFile(this.#options.layout.cache(content.ino))) === hash;
    }
    if (links > 1) return false;
    punchHoles(content, content.manifest);
    removeFile(this.#options.layout.presence(content.ino));
    content.presence = PresenceMap.create(
      this.#options.layout.presence(content.ino),
      base.size,
      content.manifest,
    );
    content.recheck = true;
    return true;
  }

  /** A sparse file of the right size; a single block is fetched at once, so that the file can be whole. */
  async #makeAbsent(content: NodeContent): Promise<void> {
    const { layout, blocks, fetcher } = this.#options;
    const { ino, base } = content;
    const manifest = (content.manifest = await blocks.loadManifest(base.manifest, base.sources));
    const hash = base.size <= BLOCK_BYTES ? manifest.hashOf(0) : undefined;
    const bytes = hash === undefined ? undefined : await fetcher.read(content, 0, hash);
    if (bytes === undefined && manifest.count > 0) {
      content.presence = PresenceMap.create(layout.presence(ino), base.size, manifest);
    }
    content.unindexed = true;
    const fd = fs.openSync(layout.cache(ino), O_CREAT | O_RDWR | O_EXCL, 0o600);
    try {
      if (bytes !== undefined) fs.writeFileSync(fd, bytes);
      fs.ftruncateSync(fd, base.size);
    } catch (thrown) {
      fs.closeSync(fd);
      content.presence?.close();
      content.presence = undefined;
      this.dropClean(ino);
      throw thrown;
    }
    content.fd = fd;
  }
}

function openOrUndefined(path: string): number | undefined {
  try {
    return fs.openSync(path, O_RDWR);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
}

/** Whatever was written where the version has holes is taken out. */
function punchHoles(content: NodeContent, manifest: Manifest): void {
  const blocks = Math.ceil(content.base.size / BLOCK_BYTES);
  let next = 0;
  for (let position = 0; position <= manifest.count; position++) {
    const index = position < manifest.count ? manifest.indexAt(position) : blocks;
    if (index > next) {
      const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
      native.fallocate(content.fd, mode, next * BLOCK_BYTES, (index - next) * BLOCK_BYTES);
    }
    next = index + 1;
  }
}
