import { errorFields, GfsError, type Ino, type Logger, toGfsError } from '../core/index.js';
import type { NamespaceClient } from '../coordinator/index.js';
import type { InodeRecord } from '../namespace/index.js';
import type { AttributeOperations, Named } from './attributes.js';
import type { FuseDevice } from './device.js';
import type { FileOperations } from './file-operations.js';
import type { NameOperations } from './name-operations.js';
import type { OpenTable } from './open-table.js';
import type { Opened } from './protocol/reply.js';

/** Codes that a healthy filesystem never returns: each is logged. */
const ALARMING = new Set(['CORRUPT', 'EIO', 'INTERNAL', 'UNAVAILABLE', 'TIMEOUT', 'ESTALE']);

/** The replies that many requests share. What an interrupted caller does not take is taken back. */
export class Replier {
  constructor(
    readonly device: FuseDevice,
    private readonly parts: {
      readonly attributes: AttributeOperations;
      readonly names: NameOperations;
      readonly files: FileOperations;
      readonly table: OpenTable;
      readonly client: NamespaceClient;
      readonly logger: Logger;
      /** Other mounts change the files. */
      readonly shared: boolean;
    },
  ) {}

  ok(unique: number): void {
    this.device.sendOk(unique);
  }

  error(unique: number, thrown: unknown, what: { opcode: number; ino: number }): void {
    const error = toGfsError(thrown);
    this.device.sendError(unique, error);
    // What another mount has deleted is stale here, and no cause for alarm.
    if (error.code === 'ESTALE' && this.parts.shared) return;
    if (ALARMING.has(error.code)) void this.#report(error, what);
  }

  /** Says which file it was, by its path. */
  async #report(error: GfsError, what: { opcode: number; ino: number }): Promise<void> {
    const { client, logger } = this.parts;
    let file: string | undefined;
    try {
      file = await client.pathOf(what.ino as Ino);
    } catch (thrown) {
      logger.warn('the path of an inode could not be found', { ...what, ...errorFields(thrown) });
    }
    const path = file === undefined ? {} : { file: Buffer.from(file, 'latin1').toString() };
    logger.error('a request failed', { ...what, ...path, ...errorFields(error) });
  }

  /** An inode's attributes under a name: the kernel now knows the inode once more. */
  entry(unique: number, record: InodeRecord, named: Named | undefined): void {
    const { attributes, names, table } = this.parts;
    this.device.reply.begin(unique, 0);
    this.device.reply.entryOut(attributes.of(record), attributes.validityOf(record.ino, { record, named }));
    table.addLookup(record.ino);
    if (!this.device.send()) names.forget(record.ino, 1);
  }

  noEntry(unique: number, named: Named): void {
    this.device.reply.begin(unique, 0);
    this.device.reply.negativeEntryOut(this.parts.attributes.validityOf(named.parent, { named }));
    this.device.send();
  }

  attributes(unique: number, record: InodeRecord): void {
    const { attributes } = this.parts;
    this.device.reply.begin(unique, 0);
    this.device.reply.attrOut(attributes.of(record), attributes.validityOf(record.ino, { record }));
    this.device.send();
  }

  openedFile(unique: number, opened: Opened): void {
    this.device.reply.begin(unique, 0);
    this.device.reply.openOut(opened);
    if (!this.device.send()) this.#takeBack(opened);
  }

  /** The reply to CREATE and TMPFILE: an entry and an open file at once. */
  created(unique: number, record: InodeRecord, opened: Opened, named: Named | undefined): void {
    const { attributes, names, table } = this.parts;
    this.device.reply.begin(unique, 0);
    this.device.reply.entryOut(attributes.of(record), attributes.validityOf(record.ino, { record, named }));
    this.device.reply.openOut(opened);
    table.addLookup(record.ino);
    if (this.device.send()) return;
    names.forget(record.ino, 1);
    this.#takeBack(opened);
  }

  bytes(unique: number, bytes: Uint8Array): void {
    this.device.sendData(unique, bytes, bytes.byteLength);
  }

  u64(unique: number, value: number): void {
    this.device.reply.begin(unique, 0);
    this.device.reply.u64(value);
    this.device.send();
  }

  /** `struct fuse_write_out` */
  written(unique: number, bytes: number): void {
    this.device.reply.begin(unique, 0);
    this.device.reply.u32(bytes);
    this.device.reply.u32(0);
    this.device.send();
  }

  /** The answer to GETXATTR and LISTXATTR: with room for 0 bytes the size alone is wanted. */
  xattr(unique: number, value: Uint8Array, room: number): void {
    if (room === 0) {
      this.written(unique, value.byteLength);
      return;
    }
    if (value.byteLength > room)
      throw new GfsError('ERANGE', `the value has ${value.byteLength} bytes, not ${room}`);
    this.bytes(unique, value);
  }

  #takeBack(opened: Opened): void {
    this.parts.files.release(opened.fh).catch((thrown: unknown) => {
      this.parts.logger.error('a file whose opener was interrupted could not be closed', errorFields(thrown));
    });
  }
}
