const NODES_MIN = 64;

/**
 * Linked lists of 32-bit integers, 8 bytes a node, in two flat arrays: who holds an inode that several hold.
 * A list is named by its first node, from 1 on; 0 is the empty list.
 */
export class HolderChains {
  #holders = new Int32Array(NODES_MIN);
  #next = new Int32Array(NODES_MIN);
  /** Nodes that were never used begin here. */
  #fresh = 1;
  /** The list of nodes that were given back. */
  #free = 0;

  get bytes(): number {
    return this.#holders.byteLength + this.#next.byteLength;
  }

  holder(node: number): number {
    return this.#holders[node] as number;
  }

  next(node: number): number {
    return this.#next[node] as number;
  }

  replace(node: number, holder: number): void {
    this.#holders[node] = holder;
  }

  /** @returns the list that begins with `holder` and goes on with `rest` */
  prepend(holder: number, rest: number): number {
    const node = this.#take();
    this.#holders[node] = holder;
    this.#next[node] = rest;
    return node;
  }

  /** @returns the list without one of its nodes, which must not be used any more */
  remove(first: number, node: number): number {
    const after = this.next(node);
    this.#next[node] = this.#free;
    this.#free = node;
    if (first === node) return after;
    let before = first;
    while (this.next(before) !== node) before = this.next(before);
    this.#next[before] = after;
    return first;
  }

  #take(): number {
    if (this.#free !== 0) {
      const node = this.#free;
      this.#free = this.next(node);
      return node;
    }
    if (this.#fresh === this.#holders.length) {
      this.#holders = doubled(this.#holders);
      this.#next = doubled(this.#next);
    }
    return this.#fresh++;
  }
}

function doubled(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}
