import { GfsError, type Ino } from '../core/index.js';
import { InodeFlag } from '../namespace/index.js';
import { type FilesystemContext, requireInode } from './context.js';
import { SETXATTR_ACL_KILL_SGID, XATTR_CREATE, XATTR_REPLACE } from './protocol/constants.js';

/** Extended attributes, POSIX ACLs among them. Permissions were checked by the kernel. */
export class XattrOperations {
  readonly #context: FilesystemContext;

  constructor(context: FilesystemContext) {
    this.#context = context;
  }

  async get(ino: Ino, name: string): Promise<Uint8Array | undefined> {
    const { client } = this.#context;
    const record = requireInode(await client.inode(ino), ino);
    return (record.flags & InodeFlag.hasXattr) === 0 ? undefined : client.xattr(ino, name);
  }

  /** NUL-terminated names, one after the other. Only root sees `trusted.*` (xattr(7)). */
  async list(ino: Ino, uid: number): Promise<Buffer> {
    const names = await this.#context.client.xattrNames(ino);
    const shown = uid === 0 ? names : names.filter((name) => !name.startsWith('trusted.'));
    return Buffer.from(shown.map((name) => `${name}\0`).join(''), 'latin1');
  }

  async set(ino: Ino, name: string, value: Uint8Array, flags: number, extraFlags: number): Promise<void> {
    // Both at once can only fail; which way depends on what is there (setxattr(2), as ext4 does it).
    if ((flags & XATTR_CREATE) !== 0 && (flags & XATTR_REPLACE) !== 0) {
      const present = (await this.get(ino, name)) !== undefined;
      throw new GfsError(present ? 'EEXIST' : 'ENODATA', 'an xattr is either made or replaced');
    }
    const mode =
      (flags & XATTR_CREATE) !== 0 ? 'create' : (flags & XATTR_REPLACE) !== 0 ? 'replace' : 'either';
    await this.#context.client.execute({
      kind: 'setxattr',
      ino,
      name,
      value,
      mode,
      killSgid: (extraFlags & SETXATTR_ACL_KILL_SGID) !== 0,
      timeNs: this.#context.clock.wallNs(),
    });
  }

  async remove(ino: Ino, name: string): Promise<void> {
    const timeNs = this.#context.clock.wallNs();
    await this.#context.client.execute({ kind: 'removexattr', ino, name, timeNs });
  }
}
