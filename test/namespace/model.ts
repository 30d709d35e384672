import type { Ino } from '../../src/core/index.js';

/** What the model knows of an inode. */
export interface ModelNode {
  readonly kind: 'file' | 'directory' | 'symlink';
  /** Directories: what is in them. */
  readonly children: Map<string, Ino>;
  /** Whether a tmpfile may still get its first name. */
  linkable: boolean;
}

export type ModelStep =
  | {
      readonly op: 'create' | 'mkdir' | 'symlink';
      readonly ino: Ino;
      readonly parent: Ino;
      readonly name: string;
    }
  | { readonly op: 'tmpfile'; readonly ino: Ino; readonly parent: Ino }
  | { readonly op: 'link'; readonly ino: Ino; readonly parent: Ino; readonly name: string }
  | { readonly op: 'unlink' | 'rmdir'; readonly parent: Ino; readonly name: string }
  | { readonly op: 'reap'; readonly ino: Ino }
  | {
      readonly op: 'rename';
      readonly mode: 'replace' | 'noreplace' | 'exchange';
      readonly parent: Ino;
      readonly name: string;
      readonly newParent: Ino;
      readonly newName: string;
    };

/**
 * A filesystem of plain maps, written from the manual pages and not from `apply`: link counts, parents and
 * orphans are not kept but counted when asked for.
 */
export class Model {
  readonly nodes = new Map<Ino, ModelNode>();
  readonly #root: Ino;

  constructor(root: Ino) {
    this.#root = root;
    this.nodes.set(root, { kind: 'directory', children: new Map(), linkable: false });
  }

  /** Does the step. @returns 'ok', or the errno; then nothing has changed */
  do(step: ModelStep): string {
    switch (step.op) {
      case 'create':
        return this.#add(step, 'file');
      case 'mkdir':
        return this.#add(step, 'directory');
      case 'symlink':
        return this.#add(step, 'symlink');
      case 'tmpfile':
        return this.#tmpfile(step.parent, step.ino);
      case 'link':
        return this.#link(step.ino, step.parent, step.name);
      case 'unlink':
      case 'rmdir':
        return this.#remove(step.op, step.parent, step.name);
      case 'reap':
        return this.#reap(step.ino);
      case 'rename':
        return this.#rename(step);
    }
  }

  /** All names of an inode. */
  names(ino: Ino): { parent: Ino; name: string }[] {
    const found: { parent: Ino; name: string }[] = [];
    for (const [parent, { children }] of this.nodes) {
      for (const [name, child] of children) if (child === ino) found.push({ parent, name });
    }
    return found;
  }

  /** As `stat` shows it. */
  nlink(ino: Ino): number {
    const names = this.names(ino).length;
    const node = this.nodes.get(ino);
    if (node?.kind !== 'directory') return names;
    if (names === 0 && ino !== this.#root) return 0;
    return 2 + [...node.children.values()].filter((child) => this.#isDirectory(child)).length;
  }

  #isDirectory(ino: Ino): boolean {
    return this.nodes.get(ino)?.kind === 'directory';
  }

  #isRemoved(directory: Ino): boolean {
    return directory !== this.#root && this.names(directory).length === 0;
  }

  #cannotHold(parent: Ino, name?: string): string | undefined {
    const node = this.nodes.get(parent);
    if (node === undefined) return 'ESTALE';
    if (node.kind !== 'directory') return 'ENOTDIR';
    if (this.#isRemoved(parent)) return 'ENOENT';
    return name !== undefined && node.children.has(name) ? 'EEXIST' : undefined;
  }

  #add(step: { ino: Ino; parent: Ino; name: string }, kind: ModelNode['kind']): string {
    const refused = this.#cannotHold(step.parent, step.name);
    if (refused !== undefined) return refused;
    this.nodes.set(step.ino, { kind, children: new Map(), linkable: false });
    this.nodes.get(step.parent)?.children.set(step.name, step.ino);
    return 'ok';
  }

  #tmpfile(parent: Ino, ino: Ino): string {
    const refused = this.#cannotHold(parent);
    if (refused !== undefined) return refused;
    this.nodes.set(ino, { kind: 'file', children: new Map(), linkable: true });
    return 'ok';
  }

  #link(ino: Ino, parent: Ino, name: string): string {
    const node = this.nodes.get(ino);
    if (node === undefined) return 'ESTALE';
    const refused = this.#cannotHold(parent, name);
    if (refused !== undefined) return refused;
    if (node.kind === 'directory') return 'EPERM';
    if (this.names(ino).length === 0 && !node.linkable) return 'ENOENT';
    node.linkable = false;
    this.nodes.get(parent)?.children.set(name, ino);
    return 'ok';
  }

  #remove(op: 'unlink' | 'rmdir', parent: Ino, name: string): string {
    const directory = this.nodes.get(parent);
    if (directory === undefined) return 'ESTALE';
    if (directory.kind !== 'directory') return 'ENOTDIR';
    const ino = directory.children.get(name);
    if (ino === undefined) return 'ENOENT';
    const node = this.nodes.get(ino);
    if (op === 'unlink' && node?.kind === 'directory') return 'EISDIR';
    if (op === 'rmdir' && node?.kind !== 'directory') return 'ENOTDIR';
    if (op === 'rmdir' && node !== undefined && node.children.size > 0) return 'ENOTEMPTY';
    directory.children.delete(name);
    return 'ok';
  }

  #reap(ino: Ino): string {
    if (!this.nodes.has(ino)) return 'ESTALE';
    if (ino !== this.#root && this.names(ino).length === 0) this.nodes.delete(ino);
    return 'ok';
  }

  #rename({ mode, parent, name, newParent, newName }: Extract<ModelStep, { op: 'rename' }>): string {
    const from = this.nodes.get(parent);
    if (from === undefined) return 'ESTALE';
    if (from.kind !== 'directory') return 'ENOTDIR';
    const to = this.nodes.get(newParent);
    if (to === undefined) return 'ESTALE';
    if (to.kind !== 'directory') return 'ENOTDIR';
    const moved = from.children.get(name);
    if (moved === undefined) return 'ENOENT';
    const target = to.children.get(newName);
    if (mode === 'noreplace' && target !== undefined) return 'EEXIST';
    if (mode === 'exchange' && target === undefined) return 'ENOENT';
    if (this.#isRemoved(newParent)) return 'ENOENT';
    if (moved === target) return 'ok';
    if (this.#contains(moved, newParent)) return 'EINVAL';
    if (mode === 'exchange' && target !== undefined) {
      if (this.#contains(target, parent)) return 'EINVAL';
      from.children.set(name, target);
    } else {
      if (target !== undefined) {
        if (this.#isDirectory(moved) && !this.#isDirectory(target)) return 'ENOTDIR';
        if (!this.#isDirectory(moved) && this.#isDirectory(target)) return 'EISDIR';
        if ((this.nodes.get(target)?.children.size ?? 0) > 0) return 'ENOTEMPTY';
      }
      from.children.delete(name);
    }
    to.children.set(newName, moved);
    return 'ok';
  }

  /** Whether `inner` is `outer` or lies in it. */
  #contains(outer: Ino, inner: Ino): boolean {
    if (outer === inner) return true;
    const children = this.nodes.get(outer)?.children.values() ?? [];
    return [...children].some((child) => this.#isDirectory(child) && this.#contains(child, inner));
  }
}
