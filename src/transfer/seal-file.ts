import * as fs from 'node:fs';
import { type BlockHash, GfsError, native, SEEK_DATA, SEEK_HOLE, toGfsError } from '../core/index.js';
import { BLOCK_BYTES, EMPTY_MANIFEST, type ManifestBlock, type ManifestRef } from '../namespace/index.js';
import { hashBlock } from './block-codec.js';
import { type BlockHasher, INLINE_BYTES_MAX } from './block-hasher.js';
import { BlockCopies } from './block-copies.js';
import type { BlockStore } from './block-store.js';
import { fdatasync } from './file-calls.js';
import { Manifest } from './manifest.js';
import type { NodeContent } from './node-content.js';

/** What a seal made of a staged file. */
export interface SealedFile {
  readonly manifest: ManifestRef;
  readonly size: number;
  readonly allocatedBytes: number;
  /** Something was put into the store, which is to be synced before the commit. */
  readonly stored: boolean;
  readonly linkedTo: BlockHash | undefined;
  /** Some of its blocks are those of the version before, wherever these are. */
  readonly kept: boolean;
  /** The file's mtime before it was read, where readers had it open: see FileSealer.seal. */
  readonly readersMtimeNs: bigint | undefined;
}

export interface FileSealerOptions {
  /** The kernel may write to the files by itself (passthrough, and mappings of it). */
  readonly kernelWrites: boolean;
  /** As `Parallelism.blocks`. */
  readonly blocksAtOnce: number;
}

/** Cheaper than an AbortSignal per file: most files are small. */
interface Abandonable {
  readonly abandoned: boolean;
}

interface Source {
  readonly path: string;
  readonly fd: number;
  readonly fileBytes: number;
}

interface WholeFile extends Source {
  /** It may become one with its block. */
  readonly linkable: boolean;
}

/** Cuts staged files into blocks and stores those that the site does not have. */
export class FileSealer {
  readonly #blocks: BlockStore;
  readonly #hasher: BlockHasher;
  readonly #options: FileSealerOptions;
  readonly #copies = new BlockCopies();

  constructor(blocks: BlockStore, hasher: BlockHasher, options: FileSealerOptions) {
    this.#blocks = blocks;
    this.#hasher = hasher;
    this.#options = options;
  }

  /**
   * Undefined when somebody still writes to the file. That can be although nobody has it open: the kernel
   * maps a passed-through file itself, so a shared mapping outlives the close (fs/backing-file.c,
   * backing_file_mmap). Readers' own descriptors hide that; then the file is synced first, so that a later
   * write through a mapping shows in its mtime, and is not made one with its block.
   * @param run ends it between two blocks when it is abandoned
   * @throws GfsError CANCELLED, ENOSPC, EIO, UNAVAILABLE
   */
  async seal(content: NodeContent, run: Abandonable): Promise<SealedFile | undefined> {
    // Its own descriptor: a reader may close the content meanwhile.
    const fd = fs.openSync(content.path, 'r');
    try {
      if (!this.#options.kernelWrites) return await this.#sealOwn(content, fd, run);
      const readers = content.isOpen;
      if (readers) await fdatasync(fd);
      else if (native.hasWriters(fd)) return undefined;
      // Only what is whole is passed through; the mtime of the rest changes with every block that is fetched.
      const mtimed = readers && content.presence === undefined;
      const readersMtimeNs = mtimed ? fs.fstatSync(fd, { bigint: true }).mtimeNs : undefined;
      const stat = fs.fstatSync(fd);
      const source = { path: content.path, fd, fileBytes: stat.size, linkable: !readers };
      const blocks = await this.#sealContent(content, source, run);
      return { ...blocks, size: stat.size, allocatedBytes: stat.blocks * 512, readersMtimeNs };
    } catch (thrown) {
      throw toGfsError(thrown);
    } finally {
      fs.closeSync(fd);
    }
  }

  /** Nobody but this process writes to the file. */
  async #sealOwn(content: NodeContent, fd: number, run: Abandonable): Promise<SealedFile> {
    const stat = fs.fstatSync(fd);
    const source = { path: content.path, fd, fileBytes: stat.size, linkable: false };
    const blocks = await this.#sealContent(content, source, run);
    return { ...blocks, size: stat.size, allocatedBytes: stat.blocks * 512, readersMtimeNs: undefined };
  }

  #sealContent(content: NodeContent, source: WholeFile, run: Abandonable): Promise<Blocks> | Blocks {
    if (source.fileBytes === 0) return NOTHING;
    const single = source.fileBytes <= BLOCK_BYTES && content.presence === undefined;
    return single ? this.#sealOneBlock(content, source) : this.#sealBlocks(content, source, run);
  }

  async #sealOneBlock(content: NodeContent, source: WholeFile): Promise<Blocks> {
    const { fd, fileBytes } = source;
    if (nextData(fd, 0, fileBytes) === undefined) return NOTHING;
    const small = fileBytes <= INLINE_BYTES_MAX ? this.#hasher.hashSmall(fd, 0, fileBytes) : undefined;
    const hash = small?.hash ?? (await this.#hasher.hash(fd, 0, fileBytes));
    const manifest: ManifestRef = { kind: 'inline', blocks: [{ index: 0, hash }] };
    const base = content.base.manifest;
    const known = base.kind === 'inline' ? base.blocks[0] : undefined;
    if (known?.hash === hash && known.index === 0) {
      return { manifest, stored: false, linkedTo: undefined, kept: true };
    }
    // The scratch bytes of `hashSmall` are not ours any more after the first wait.
    const waiting = this.#blocks.guard.use(hash);
    if (waiting !== undefined) await waiting;
    if (this.#blocks.adopts && source.linkable && native.lseek(fd, 0, SEEK_HOLE) === fileBytes) {
      const range = { ...source, offset: 0, length: fileBytes };
      const how = await this.#blocks.adopt(hash, range);
      if (how !== undefined) {
        return { manifest, stored: true, linkedTo: how === 'linked' ? hash : undefined, kept: false };
      }
    }
    const stored = !(await this.#blocks.has(hash, fileBytes));
    if (stored) await this.#storeCopy(hash, source, 0, fileBytes);
    return { manifest, stored, linkedTo: undefined, kept: false };
  }

  async #sealBlocks(content: NodeContent, source: Source, run: Abandonable): Promise<Blocks> {
    const base = (content.manifest ??= await this.#blocks.loadManifest(
      content.base.manifest,
      content.base.sources,
    ));
    const blocks = absentBlocks(content, base);
    const absent = new Set(blocks.map(({ index }) => index));
    let stored = false;
    let kept = blocks.length > 0;
    const sealBlock = async (index: number): Promise<void> => {
      const offset = index * BLOCK_BYTES;
      const length = Math.min(BLOCK_BYTES, source.fileBytes - offset);
      const hash = await this.#hasher.hash(source.fd, offset, length);
      blocks.push({ index, hash });
      if (base.hashOf(index) === hash) kept = true;
      else if (await this.#store(hash, source, offset, length)) stored = true;
    };
    const running = new Set<Promise<void>>();
    try {
      for (const index of dataBlocks(absent, source)) {
        throwIfAbandoned(run);
        const one: Promise<void> = sealBlock(index).finally(() => running.delete(one));
        running.add(one);
        if (running.size >= this.#options.blocksAtOnce) await Promise.race(running);
      }
      await Promise.all(running);
    } finally {
      await Promise.allSettled(running); // the descriptor is closed next
    }
    throwIfAbandoned(run);
    blocks.sort((a, b) => a.index - b.index);
    const manifest = await this.#blocks.putManifest(Manifest.of(blocks));
    return { manifest, stored: stored || manifest.kind === 'object', linkedTo: undefined, kept };
  }

  async #store(hash: BlockHash, source: Source, offset: number, length: number): Promise<boolean> {
    await this.#blocks.guard.use(hash);
    if (await this.#blocks.has(hash, length)) return false;
    if (
      length < source.fileBytes &&
      (await this.#blocks.adopt(hash, { ...source, offset, length })) !== undefined
    ) {
      return true;
    }
    await this.#storeCopy(hash, source, offset, length);
    return true;
  }

  async #storeCopy(hash: BlockHash, source: Source, offset: number, length: number): Promise<void> {
    await this.#copies.use(length, async (bytes) => {
      await readInto(bytes, source.fd, offset);
      // Reading again what was hashed: if it is not the same any more, nothing may carry this name.
      if (hashBlock(bytes) !== hash) {
        throw new GfsError('EIO', 'a staged file changed while it was sealed', { retryable: true });
      }
      await this.#blocks.put(hash, bytes);
    });
  }
}

type Blocks = Pick<SealedFile, 'manifest' | 'stored' | 'linkedTo' | 'kept'>;
const NOTHING: Blocks = { manifest: EMPTY_MANIFEST, stored: false, linkedTo: undefined, kept: false };

/** Indexes of the blocks that hold any data, without those that were absent at the start, ascending. */
function* dataBlocks(absent: ReadonlySet<number>, source: Source): Iterable<number> {
  const blocks = Math.ceil(source.fileBytes / BLOCK_BYTES);
  for (let index = 0; index < blocks;) {
    const data = nextData(source.fd, index * BLOCK_BYTES, source.fileBytes);
    if (data === undefined) return;
    index = Math.floor(data / BLOCK_BYTES);
    if (!absent.has(index)) yield index;
    index++;
  }
}

/**
 * Blocks that the file does not have are the base version's still. Asked once, at the start: a reader may
 * fetch some of them while the others are sealed.
 */
function absentBlocks({ presence }: NodeContent, base: Manifest): ManifestBlock[] {
  return presence === undefined ? [] : [...base.blocks()].filter(({ index }) => !presence.has(index));
}

/** First byte at or after `offset` that is no hole; all is data where the filesystem cannot tell. */
function nextData(fd: number, offset: number, fileBytes: number): number | undefined {
  try {
    return native.lseek(fd, offset, SEEK_DATA);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === 'ENXIO') return undefined;
    if (code === 'EINVAL' || code === 'EOPNOTSUPP') return offset < fileBytes ? offset : undefined;
    throw thrown;
  }
}

async function readInto(bytes: Buffer, fd: number, offset: number): Promise<void> {
  const { length } = bytes;
  for (let done = 0; done < length;) {
    const count =
      length <= INLINE_BYTES_MAX
        ? fs.readSync(fd, bytes, done, length - done, offset + done)
        : await read(fd, bytes, done, offset + done);
    if (count === 0) throw new GfsError('EIO', 'a staged file became shorter while it was sealed');
    done += count;
  }
}

function read(fd: number, bytes: Uint8Array, start: number, position: number): Promise<number> {
  return new Promise((resolve, reject) =>
    fs.read(fd, bytes, start, bytes.length - start, position, (error, count) =>
      error === null ? resolve(count) : reject(toGfsError(error)),
    ),
  );
}

function throwIfAbandoned(run: Abandonable): void {
  if (run.abandoned) throw new GfsError('CANCELLED', 'the file was opened for writing');
}
