import { type Ino, type Name, ROOT_INO, parseName, timeNs } from '../../src/core/index.js';
import {
  type Command,
  type Executed,
  type InodeRecord,
  type KvStore,
  MemoryStore,
  Namespace,
  S_IFDIR,
  S_IFREG,
} from '../../src/namespace/index.js';

export const caller = { uid: 1000, gid: 100 };

/** A command without what all of them have; `at` is the time in ns. */
type Unstamped<T> = T extends { timeNs: unknown } ? Omit<T, 'timeNs'> : T;

/** A namespace with short words for what tests do all the time. Each command is a nanosecond later. */
export class Tree {
  #nowNs = 1000n;
  #lastIno = 1;
  readonly namespace: Namespace;

  constructor(namespace: Namespace) {
    this.namespace = namespace;
  }

  static async make(kv: KvStore = new MemoryStore()): Promise<Tree> {
    return new Tree(await Namespace.open({ kv, root: { uid: 0, gid: 0 }, clusterId: 'test' }));
  }

  /** The time of the last command, in ns. */
  get nowNs(): bigint {
    return this.#nowNs;
  }

  do(command: Unstamped<Command>): Executed {
    this.#nowNs++;
    return this.namespace.execute({ ...command, timeNs: timeNs(this.#nowNs) } as Command);
  }

  /** The errno of a command that must fail. */
  errorOf(command: Unstamped<Command>): string {
    try {
      this.do(command);
    } catch (thrown) {
      return (thrown as { code: string }).code;
    }
    return 'none';
  }

  nextIno(): Ino {
    if (this.#lastIno === 1) this.#lastIno = this.namespace.reserveInos(10_000).first;
    return this.#lastIno++ as Ino;
  }

  file(name: string, parent: Ino = ROOT_INO, mode = 0o666, umask = 0o022): Ino {
    const ino = this.nextIno();
    this.do({ kind: 'create', parent, name: parseName(name), ino, caller, mode: S_IFREG | mode, umask });
    return ino;
  }

  directory(name: string, parent: Ino = ROOT_INO, mode = 0o777, umask = 0o022): Ino {
    const ino = this.nextIno();
    this.do({ kind: 'mkdir', parent, name: parseName(name), ino, caller, mode: S_IFDIR | mode, umask });
    return ino;
  }

  rename(
    from: readonly [Ino, string],
    to: readonly [Ino, string],
    mode: 'replace' | 'noreplace' | 'exchange' = 'replace',
  ): Executed {
    return this.do(renaming(from, to, mode));
  }

  get(ino: Ino): InodeRecord {
    const inode = this.namespace.inode(ino);
    if (inode === undefined) throw new Error(`no inode ${ino}`);
    return inode;
  }

  find(parent: Ino, name: string): Ino | undefined {
    return this.namespace.lookup(parent, parseName(name))?.ino;
  }
}

export function renaming(
  [parent, name]: readonly [Ino, string],
  [newParent, newName]: readonly [Ino, string],
  mode: 'replace' | 'noreplace' | 'exchange' = 'replace',
): Unstamped<Command> {
  return { kind: 'rename', parent, name: parseName(name), newParent, newName: parseName(newName), mode };
}

export const nameOf = (text: string): Name => parseName(text);
