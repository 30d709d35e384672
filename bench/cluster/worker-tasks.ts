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

/** Files of one block each, `entries` of them in each of the directories `d0`, `d1`, ... */
interface Filled {
  readonly files: number;
  readonly entries: number;
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
  /** Looks up all files that `fill` has made, by their names. */
  readonly visit: { readonly input: Filled & { inFlight: number }; readonly output: null };
  /** The namespace in this process: creates, then lookups, without anybody between. */
  readonly namespace: {
    readonly input: { store: 'memory' | 'lmdb'; path: string; count: number };
    readonly output: { create: Timed; lookup: Timed };
  };
  /** What creates write, in one transaction of etcd each. */
  readonly etcd: { readonly input: Load & { endpoint: string; prefix: string }; readonly output: Timed };
  /** Makes the store of a coordinator. */
  readonly fill: { readonly input: Filled & { path: string }; readonly output: null };
  /** A file to objects of `bytes` each, by the store's own client. */
  readonly put: { readonly input: Objects; readonly output: Timed };
  /** The same objects to a new file. */
  readonly get: { readonly input: Objects; readonly output: Timed };
}

interface Objects extends Load {
  readonly site: SiteSpec;
  readonly bytes: number;
  readonly file: string;
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
