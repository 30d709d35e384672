import type { SiteSpec } from '../../src/sites/index.js';

/** When a load ran, in ms of CLOCK_MONOTONIC, which all processes share, and the CPU that its process took. */
export interface Timed {
  readonly startMs: number;
  readonly endMs: number;
  readonly cpuMs: number;
}

/** A load of many like operations. */
interface Load {
  readonly count: number;
  readonly inFlight: number;
}

/** What a worker can be told to do. */
export interface WorkerTasks {
  /** Joins a cluster as a mount would, without a kernel. */
  readonly connect: {
    readonly input: { address: string; site: string; member: string; cacheInodesMax?: number };
    readonly output: null;
  };
  /** Ends the session: nothing is kept, here or there. */
  readonly leave: { readonly input: null; readonly output: null };
  /** Makes a directory, and empty files `f0`, `f1`, ... in it. */
  readonly create: { readonly input: Load & { directory: string }; readonly output: Timed };
  /** Looks up each of these files once. */
  readonly lookup: { readonly input: Load & { directory: string }; readonly output: Timed };
  /** Reads all directories `d0`, `d1`, ... with the inodes of their entries. */
  readonly walk: { readonly input: { directories: number }; readonly output: { entries: number } };
  /** The namespace in this process: creates, then lookups, without anybody between. */
  readonly namespace: {
    readonly input: { store: 'memory' | 'lmdb'; path: string; count: number };
    readonly output: { create: Timed; lookup: Timed };
  };
  /** What creates write, in one transaction of etcd each. */
  readonly etcd: { readonly input: Load & { endpoint: string; prefix: string }; readonly output: Timed };
  /** Makes the store of a coordinator with files of one block each, `entries` in each directory. */
  readonly fill: {
    readonly input: { path: string; files: number; entries: number };
    readonly output: null;
  };
  /** Objects of `bytes` each, of random content, by the store's own client. */
  readonly put: { readonly input: Load & { site: SiteSpec; bytes: number }; readonly output: Timed };
  /** The same objects. */
  readonly get: { readonly input: Load & { site: SiteSpec; bytes: number }; readonly output: Timed };
}

export type TaskName = keyof WorkerTasks;
export type InputOf<T extends TaskName> = WorkerTasks[T]['input'];
export type OutputOf<T extends TaskName> = WorkerTasks[T]['output'];

/** To a worker. */
export interface Order {
  readonly task: TaskName;
  readonly input: unknown;
}

/** From it: what came of its one order. */
export type Outcome = { readonly output: unknown } | { readonly error: string };
