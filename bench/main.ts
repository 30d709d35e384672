import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ControlClient } from '../src/cli/control-client.js';
import { Reaper } from '../test/support/reaper.js';
import { run } from '../test/support/run.js';
import { Bindfs, type Contestant, GlobalFs, PlainDirectory } from './contestants.js';
import { measureScenario } from './measure.js';
import { measureMemory, type MemoryReport } from './memory.js';
import { markdown, type Report, type Setting } from './report.js';
import { SCENARIOS } from './scenarios.js';
import { type Row, summarise } from './summary.js';
import { makeTools } from './tools.js';
import { FULL, QUICK, type Tools } from './workload.js';

const ROUNDS = 5;
const QUICK_ROUNDS = 2;
const MEMORY = 'memory';

const HELP = `usage: npm run bench [-- OPTIONS]
  --quick         smaller, and ${QUICK_ROUNDS} rounds
  --rounds N      default: ${ROUNDS}
  --only NAMES    some of them, comma-separated: ${[...SCENARIOS.map(({ id }) => id), MEMORY].join(', ')}
  --json          everything that was measured, instead of tables
  --dir DIR       where the files go (default: ${tmpdir()})
  --cli FILE      another build's cli/main.js
  --node-arg ARG  for the process that serves GlobalFS, such as --cpu-prof; may be repeated
`;

interface Options {
  readonly rounds: number;
  readonly quick: boolean;
  readonly only: ReadonlySet<string> | undefined;
  readonly json: boolean;
  readonly dir: string;
  readonly cli: string;
  readonly nodeArguments: readonly string[];
}

/** What one run of the benchmarks works with. */
interface Run {
  readonly options: Options;
  readonly base: string;
  readonly reaper: Reaper;
  readonly tools: Tools;
}

const globalFsOf = ({ options, reaper }: Run, base: string): GlobalFs =>
  new GlobalFs(base, reaper, options.cli, options.nodeArguments);

/** Compiled, this file is `dist/bench-build/bench/main.js`. */
const projectDir = fileURLToPath(new URL('../../../', import.meta.url));

function parseOptions(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
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
  const only = values.only === undefined ? undefined : new Set(values.only.split(','));
  const known = [...SCENARIOS.map(({ id }) => id), MEMORY];
  const unknown = [...(only ?? [])].filter((id) => !known.includes(id));
  if (unknown.length > 0) throw new Error(`--only ${unknown.join(',')}: there are ${known.join(', ')}`);
  const { quick, json, dir, cli } = values;
  return {
    rounds,
    quick,
    only,
    json,
    dir: resolve(dir),
    cli: resolve(cli),
    nodeArguments: values['node-arg'],
  };
}

function progress(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

async function firstLine(program: string, args: string[]): Promise<string> {
  const { stdout, stderr } = await run(program, args);
  return `${stdout}${stderr}`.split('\n')[0] ?? '';
}

async function settingOf(options: Options, base: string): Promise<Setting> {
  const status = await new ControlClient(join(base, 'globalfs')).status();
  const versions = [
    `Node ${process.versions.node}`,
    await firstLine('bindfs', ['--version']),
    await firstLine('git', ['--version']),
    `GlobalFS ${status.version} (${await firstLine('git', ['-C', projectDir, 'describe', '--always', '--dirty'])})`,
  ];
  return {
    date: new Date().toISOString().slice(0, 10),
    command: ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(
      ' ',
    ),
    rounds: options.rounds,
    kernel: release(),
    cpus: `${cpus().length} CPUs (${cpus()[0]?.model.trim() ?? 'unknown'})`,
    filesystem: await firstLine('stat', ['-f', '-c', '%T', base]),
    versions: versions.join(', '),
    passthrough: status.passthrough.enabled ? 'on' : `off (${status.passthrough.reason})`,
  };
}

async function measureSpeed(run: Run): Promise<{ setting: Setting; rows: Row[] }> {
  const { options, base, reaper, tools } = run;
  const contestants: Contestant[] = [
    new PlainDirectory(base),
    new Bindfs(base, reaper),
    globalFsOf(run, base),
  ];
  const rows: Row[] = [];
  for (const contestant of contestants) await contestant.start();
  try {
    const setting = await settingOf(options, base);
    for (const scenario of SCENARIOS) {
      if (options.only?.has(scenario.id) === false) continue;
      const { rounds } = options;
      const measured = await measureScenario(scenario, contestants, tools, { rounds, progress });
      rows.push(...measured.map((one) => summarise(one, tools.scale)));
    }
    return { setting, rows };
  } finally {
    for (const contestant of contestants) await contestant.stop();
  }
}

/** In a mount of its own: what a process grew by before would hide what the inodes take. */
async function measureMemoryAlone(run: Run): Promise<MemoryReport> {
  const globalfs = globalFsOf(run, join(run.base, 'memory'));
  await globalfs.start();
  try {
    return await measureMemory(globalfs, run.tools, progress);
  } finally {
    await globalfs.stop();
  }
}

async function measureAll(run: Run): Promise<Report> {
  const { only } = run.options;
  const speed = await measureSpeed(run);
  const memory = only?.has(MEMORY) === false ? undefined : await measureMemoryAlone(run);
  return { ...speed, memory };
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) {
    process.stdout.write(HELP);
    return;
  }
  // Cleans up when this process ends, in whatever way: a failure, Ctrl-C, SIGKILL.
  const reaper = new Reaper();
  mkdirSync(dirname(options.dir), { recursive: true });
  const base = mkdtempSync(join(options.dir, 'globalfs-bench-'));
  reaper.directory(base);
  chmodSync(base, 0o700);
  try {
    const scale = options.quick ? QUICK : FULL;
    const tools = await makeTools(base, join(projectDir, 'bench/load.c'), scale);
    const report = await measureAll({ options, base, reaper, tools });
    progress('cleaning up');
    if (process.stderr.isTTY) progress('');
    process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : `${markdown(report)}\n`);
  } finally {
    await reaper.finish();
  }
}

main().catch((thrown: unknown) => {
  process.stderr.write(
    `bench: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`,
  );
  process.exitCode = 1;
});
