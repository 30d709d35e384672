import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CLUSTER_PARTS } from './cluster/scale.js';
import { SCENARIOS } from './scenarios.js';

const ROUNDS = 5;
const QUICK_ROUNDS = 2;
export const MEMORY = 'memory';

/** `node`: a mount of its own beside the disk and bindfs; `cluster`: coordinator, sites and mounts. */
const SUITES = ['node', 'cluster'] as const;
export type Suite = (typeof SUITES)[number];

const PARTS: Readonly<Record<Suite, readonly string[]>> = {
  node: [...SCENARIOS.map(({ id }) => id), MEMORY],
  cluster: CLUSTER_PARTS,
};

export const HELP = `usage: npm run bench [-- [${SUITES.join(' | ')}] OPTIONS]
  --quick         smaller, and ${QUICK_ROUNDS} rounds
  --rounds N      default: ${ROUNDS}
  --only NAMES    some of them, comma-separated:
                  node: ${PARTS.node.join(', ')}
                  cluster: ${PARTS.cluster.join(', ')}
  --json          everything that was measured, instead of tables
  --dir DIR       where the files go (default: ${tmpdir()})
  --cli FILE      another build's cli/main.js
  --node-arg ARG  for the processes that serve GlobalFS, such as --cpu-prof; may be repeated
`;

export interface Options {
  readonly suites: ReadonlySet<Suite>;
  readonly rounds: number;
  readonly quick: boolean;
  readonly only: ReadonlySet<string> | undefined;
  readonly json: boolean;
  readonly dir: string;
  readonly cli: string;
  readonly nodeArguments: readonly string[];
}

/** Compiled, this file is `dist/bench-build/bench/options.js`. */
export const projectDir = fileURLToPath(new URL('../../../', import.meta.url));

/** @returns undefined when help was asked for. @throws Error for what cannot be */
export function parseOptions(args: string[]): Options | undefined {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      dir: { type: 'string', default: tmpdir() },
      cli: { type: 'string', default: join(projectDir, 'dist/cli/main.js') },
      'node-arg': { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const rounds = Number(values.rounds ?? (values.quick ? QUICK_ROUNDS : ROUNDS));
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds ${values.rounds}: not a number of rounds`);
  const { quick, json, dir, cli } = values;
  return {
    ...parseParts(positionals, values.only),
    rounds,
    quick,
    json,
    dir: resolve(dir),
    cli: resolve(cli),
    nodeArguments: values['node-arg'],
  };
}

/** The suites that were named, or those that have something of `--only`, or all. */
function parseParts(
  named: readonly string[],
  onlyText: string | undefined,
): Pick<Options, 'suites' | 'only'> {
  const unknownSuites = named.filter((name) => !(SUITES as readonly string[]).includes(name));
  if (unknownSuites.length > 0) throw new Error(`${unknownSuites.join(' ')}: there are ${SUITES.join(', ')}`);
  const chosen = SUITES.filter((suite) => named.length === 0 || named.includes(suite));
  const only = onlyText === undefined ? undefined : new Set(onlyText.split(','));
  const known = chosen.flatMap((suite) => PARTS[suite]);
  const unknown = [...(only ?? [])].filter((id) => !known.includes(id));
  if (unknown.length > 0) throw new Error(`--only ${unknown.join(',')}: there are ${known.join(', ')}`);
  const suites = chosen.filter((suite) => only === undefined || PARTS[suite].some((id) => only.has(id)));
  return { suites: new Set(suites), only };
}
