import { assertNever } from '../core/index.js';
import { applyCreate, applySymlink, applyTmpfile } from './apply-create.js';
import { applyCommit, applyReap, applySetattr } from './apply-attr.js';
import { applyLink, applyRmdir, applyUnlink } from './apply-link.js';
import { applyRename } from './apply-rename.js';
import { applyRemovexattr, applySetxattr } from './apply-xattr.js';
import type { Applied, Command } from './commands.js';
import type { NamespaceView } from './view.js';

/**
 * Decides one command: what it writes, whom it concerns, and what its author learns. Pure, and the only
 * place where POSIX rules of the namespace are written; they are those of Linux's ext4. Permissions, sticky
 * directories, path walking and the stripping of setgid by the caller's groups are the kernel's work, above.
 * @throws GfsError with the errno that the system call returns; ESTALE for an inode that is no more
 */
export function apply(view: NamespaceView, command: Command): Applied {
  switch (command.kind) {
    case 'create':
    case 'mkdir':
    case 'mknod':
      return applyCreate(view, command);
    case 'symlink':
      return applySymlink(view, command);
    case 'tmpfile':
      return applyTmpfile(view, command);
    case 'link':
      return applyLink(view, command);
    case 'unlink':
      return applyUnlink(view, command);
    case 'rmdir':
      return applyRmdir(view, command);
    case 'rename':
      return applyRename(view, command);
    case 'setattr':
      return applySetattr(view, command);
    case 'setxattr':
      return applySetxattr(view, command);
    case 'removexattr':
      return applyRemovexattr(view, command);
    case 'commit':
      return applyCommit(view, command);
    case 'reap':
      return applyReap(view, command);
    default:
      return assertNever(command);
  }
}
