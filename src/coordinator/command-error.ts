import type { GfsError, GfsErrorCode, Ino, Name } from '../core/index.js';
import type { Command, Namespace } from '../namespace/index.js';
import type { Shown } from './reader.js';

/**
 * Errors that tell what a name means (ENOTEMPTY: and what is in there), and nothing of the directory that has
 * the name. With the directory, each would wait for whatever others do in there.
 */
const OF_NAMES: ReadonlySet<GfsErrorCode> = new Set(['EEXIST', 'ENOENT', 'ENOTEMPTY']);

/** What is told of the namespace with the error that a command has failed with. */
export function shownByError(namespace: Namespace, command: Command, { code }: GfsError): Shown {
  const inos: Ino[] = [];
  const entries: [Ino, Name][] = [];
  const directory = (ino: Ino): void => {
    const hasName = (namespace.inode(ino)?.nlink ?? 0) > 0;
    if (!hasName || !OF_NAMES.has(code)) inos.push(ino);
  };
  const entry = (parent: Ino, name: Name): void => {
    entries.push([parent, name]);
    const meaning = namespace.dentry(parent, name);
    if (meaning !== undefined) inos.push(meaning.ino);
    directory(parent);
  };
  switch (command.kind) {
    case 'link':
      inos.push(command.ino);
      entry(command.parent, command.name);
      break;
    case 'rename': {
      const { parent, name, newParent, newName } = command;
      entry(parent, name);
      entry(newParent, newName);
      // A directory cannot be moved into itself: what is above decides.
      if (code === 'EINVAL') inos.push(...above(namespace, parent), ...above(namespace, newParent));
      break;
    }
    case 'create':
    case 'mkdir':
    case 'mknod':
    case 'symlink':
    case 'unlink':
    case 'rmdir':
      entry(command.parent, command.name);
      break;
    case 'tmpfile':
      directory(command.parent);
      break;
    case 'setattr':
    case 'setxattr':
    case 'removexattr':
    case 'commit':
    case 'reap':
      inos.push(command.ino);
      break;
  }
  return { inos, entries };
}

/** The directories above one. */
function above(namespace: Namespace, ino: Ino): Ino[] {
  const inos: Ino[] = [];
  let parent = namespace.inode(ino)?.parent ?? 0;
  while (parent !== 0 && parent !== inos.at(-1)) {
    inos.push(parent as Ino);
    parent = namespace.inode(parent as Ino)?.parent ?? 0;
  }
  return inos;
}
