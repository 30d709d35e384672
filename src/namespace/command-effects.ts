import type { Command } from './commands.js';

/** Commands that are refused on a full disk; the others free space, or need next to none of the reserve. */
export function takesSpace({ kind }: Command): boolean {
  switch (kind) {
    case 'create':
    case 'mkdir':
    case 'mknod':
    case 'symlink':
    case 'tmpfile':
    case 'link':
    case 'setxattr':
      return true;
    case 'unlink':
    case 'rmdir':
    case 'rename':
    case 'setattr':
    case 'removexattr':
    case 'commit':
    case 'reap':
      return false;
  }
}

/** How many more inodes there are after a command that wrote something. */
export function inodesAdded({ kind }: Command): number {
  switch (kind) {
    case 'create':
    case 'mkdir':
    case 'mknod':
    case 'symlink':
    case 'tmpfile':
      return 1;
    case 'reap':
      return -1;
    case 'link':
    case 'unlink':
    case 'rmdir':
    case 'rename':
    case 'setattr':
    case 'setxattr':
    case 'removexattr':
    case 'commit':
      return 0;
  }
}
