/** Sizes of the cluster's benchmarks; `--quick` has smaller ones. */
export interface ClusterScale {
  /** Files that are made, and looked up, in one run; all clients together. */
  readonly commands: number;
  /** Of each client: what the kernel asks for at once (max_background of a FUSE mount). */
  readonly inFlight: number;
  /** Files of the coordinator whose memory is looked at. */
  readonly cachedFiles: number;
  /** Of the one big file. */
  readonly contentBytes: number;
  /** Small files that are read from far away. */
  readonly farFiles: number;
}

export const FULL_CLUSTER: ClusterScale = {
  commands: 50_000,
  inFlight: 64,
  cachedFiles: 1_000_000,
  contentBytes: 1024 ** 3,
  farFiles: 5_000,
};

export const QUICK_CLUSTER: ClusterScale = {
  commands: 10_000,
  inFlight: 64,
  cachedFiles: 100_000,
  contentBytes: 128 * 1024 ** 2,
  farFiles: 1_000,
};

/** For `--only`. */
export const CLUSTER_PARTS = ['commands', 'coordinator-memory', 's3', 'distance'] as const;
export type ClusterPart = (typeof CLUSTER_PARTS)[number];
