import type { Tools } from '../workload.js';
import type { Program } from './cluster-process.js';
import type { ClusterScale } from './scale.js';

/** What the cluster's benchmarks work with. */
export interface ClusterRun {
  /** A directory of theirs; deleted at the end. */
  readonly base: string;
  readonly program: Program;
  readonly scale: ClusterScale;
  readonly rounds: number;
  /** The load generator. */
  readonly tools: Tools;
  readonly progress: (text: string) => void;
}
