import type { NamespaceClient } from '../coordinator/index.js';
import { errorFields, type Ino, type Logger, type Name } from '../core/index.js';
import { BLOCK_BYTES, type InodeRecord, isRegular, S_IFREG } from '../namespace/index.js';
import type { ContentCache } from '../transfer/index.js';
import { allOf } from './context.js';

/** Names that are remembered to find an opened file's neighbours: about 100 B each. */
const PLACES_MAX = 65_536;
/** Directories whose readers are remembered. */
const READERS_MAX = 256;
/** Files ahead of a reader who goes through a directory: at 50 ms and 64 requests at once 1,000 take 16 round trips. */
const WINDOW_MIN = 8;
const WINDOW_MAX = 256;
/** Content that is fetched ahead at once, over all directories: 64 small requests hide 50 ms at 1,280 files/s. */
const FETCHES_MAX = 64;
/** Content ahead of one reader: what 1 Gbit/s brings in half a second. */
const AHEAD_BYTES_MAX = 64 * 1024 * 1024;

interface Place {
  readonly parent: Ino;
  readonly name: Name;
}

/** Somebody who opens a directory's files in the order of their names. */
interface Reader {
  last: Name;
  /** Fetched, or being fetched, up to this name. */
  until: Name;
  /** Files between `last` and `until`, about. */
  ahead: number;
  window: number;
}

/**
 * Read-ahead over the small files of a directory, as `tar`, `grep -r` and a glob read them: when one is opened
 * whose content is not here, the next ones by name are fetched too, more of them the longer that goes on.
 */
export class DirectoryReadAhead {
  readonly #client: NamespaceClient;
  readonly #content: ContentCache;
  readonly #logger: Logger;
  readonly #places = new Map<Ino, Place>();
  readonly #readers = new Map<Ino, Reader>();
  #fetching = 0;

  constructor(parts: { client: NamespaceClient; content: ContentCache; logger: Logger }) {
    this.#client = parts.client;
    this.#content = parts.content;
    this.#logger = parts.logger;
  }

  /** The kernel was told that a regular file has this name. */
  seen(parent: Ino, name: Name, record: InodeRecord): void {
    if (!isRegular(record) || record.size === 0 || record.size > BLOCK_BYTES) return;
    this.#places.delete(record.ino);
    this.#places.set(record.ino, { parent, name });
    if (this.#places.size <= PLACES_MAX) return;
    const oldest = this.#places.keys().next().value;
    if (oldest !== undefined) this.#places.delete(oldest);
  }

  /** A file is about to be opened for reading. */
  opening(ino: Ino): void {
    const place = this.#places.get(ino);
    if (place === undefined) return;
    const reader = this.#readers.get(place.parent);
    const follows = reader !== undefined && place.name > reader.last && place.name <= reader.until;
    if (follows) {
      reader.last = place.name;
      reader.ahead--;
      if (reader.ahead > reader.window / 2) return;
      reader.window = Math.min(WINDOW_MAX, reader.window * 2);
      this.#fetchAfter(place.parent, reader);
    } else if (!this.#content.isCached(ino)) {
      this.#fetchAfter(place.parent, this.#enter(place));
    }
  }

  #enter({ parent, name }: Place): Reader {
    const reader = { last: name, until: name, ahead: 0, window: WINDOW_MIN };
    this.#readers.delete(parent);
    this.#readers.set(parent, reader);
    if (this.#readers.size > READERS_MAX) {
      const oldest = this.#readers.keys().next().value;
      if (oldest !== undefined) this.#readers.delete(oldest);
    }
    return reader;
  }

  #fetchAfter(parent: Ino, reader: Reader): void {
    const after = reader.until;
    this.#fetch(parent, after, reader).catch((thrown: unknown) => {
      // Whoever then opens the file is told.
      this.#logger.debug('read-ahead over a directory ended', { parent, ...errorFields(thrown) });
    });
  }

  async #fetch(parent: Ino, after: Name, reader: Reader): Promise<void> {
    const entries = await this.#client.readDirectory(parent, after, reader.window);
    const files = entries.filter(({ type }) => type === S_IFREG);
    const records = await allOf(files.map(({ ino }) => this.#client.inode(ino)));
    let bytes = 0;
    for (const [i, record] of records.entries()) {
      if (this.#fetching >= FETCHES_MAX || bytes > AHEAD_BYTES_MAX) break;
      const name = files[i]?.name;
      if (record === undefined || name === undefined) continue;
      if (name > reader.until) reader.until = name;
      reader.ahead++;
      const wanted = record.version > 0 && record.size > 0 && record.size <= BLOCK_BYTES;
      if (!wanted || this.#content.isCached(record.ino)) continue;
      bytes += record.size;
      this.#fetching++;
      void this.#prefetch(record);
    }
  }

  async #prefetch(record: InodeRecord): Promise<void> {
    try {
      await this.#content.prefetch(record);
    } catch (thrown) {
      this.#logger.debug('a file could not be fetched ahead', { ino: record.ino, ...errorFields(thrown) });
    } finally {
      this.#fetching--;
    }
  }
}
