import type { Contestant, ContestantName } from './contestants.js';

/** Sizes of everything; `--quick` has smaller ones. */
export interface Scale {
  readonly fileBytes: number;
  readonly randomReads: number;
  readonly appends: number;
  /** Entries of one directory, and files of the tarball. */
  readonly files: number;
  readonly repositoryFiles: number;
  readonly inodes: number;
}

export const FULL: Scale = {
  fileBytes: 1024 ** 3,
  randomReads: 300_000,
  appends: 50_000,
  files: 10_000,
  repositoryFiles: 4_000,
  inodes: 1_000_000,
};

export const QUICK: Scale = {
  fileBytes: 256 * 1024 ** 2,
  randomReads: 100_000,
  appends: 10_000,
  files: 3_000,
  repositoryFiles: 1_000,
  inodes: 100_000,
};

export interface Tools {
  readonly scale: Scale;
  /** A plain directory on the same disk, for what all contestants are given. */
  readonly fixtures: string;
  /** One loop of system calls; seconds. */
  load(command: string, ...args: (string | number)[]): Promise<number>;
  /** A program from start to end; seconds. */
  timed(program: string, args: string[]): Promise<number>;
  run(program: string, args: string[]): Promise<void>;
  /** The kernel is to ask again for every name of this contestant. */
  forgetNames(contestant: Contestant): Promise<void>;
}

/** The least speed, as a share of the rival's. */
export interface Goal {
  readonly of: Exclude<ContestantName, 'globalfs'>;
  readonly ratio: number;
}

/** One contestant's turn at one scenario, in one round. */
export interface Turn {
  readonly tools: Tools;
  readonly contestant: Contestant;
  /** A directory of the contestant's, of this scenario and round. */
  readonly place: string;
}

/** One thing that is measured. Steps of a scenario follow each other, on what the one before left. */
export interface Step {
  /** For `--json`. */
  readonly id: string;
  readonly title: string;
  /** Operations of one run, for the rate; undefined: the time is shown. */
  readonly operations?: (scale: Scale) => number;
  readonly unit: 'MB/s' | '/s' | 's';
  readonly goals: readonly Goal[];
  /** Before the clock starts. */
  prepare?(turn: Turn): Promise<void>;
  /** Seconds. */
  measure(turn: Turn): Promise<number>;
  /** Also measured until everything is sealed and on the disk, under this title. */
  readonly settledTitle?: string;
}

export interface Scenario {
  readonly id: string;
  /** Once, before all rounds. */
  readonly fixtures?: (tools: Tools) => Promise<void>;
  /** Once for each contestant and round, before the first round. */
  readonly prepare?: (turn: Turn) => Promise<void>;
  readonly steps: readonly Step[];
  /** After each round; not timed. */
  readonly cleanUp?: (turn: Turn) => Promise<void>;
}
