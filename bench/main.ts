import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { dirname, join } from 'node:path';
import { ControlClient } from '../src/cli/control-client.js';
import { Reaper } from '../test/support/reaper.js';
import { run } from '../test/support/run.js';
import { FULL_CLUSTER, QUICK_CLUSTER } from './cluster/scale.js';
import type { ClusterReport } from './cluster/report.js';
import { Bindfs, type Contestant, GlobalFs, PlainDirectory } from './contestants.js';
import { measureScenario } from './measure.js';
import { measureMemory, type MemoryReport } from './memory.js';
import { HELP, MEMORY, type Options, parseOptions, projectDir } from './options.js';
import { markdown, type Report, type Setting } from './report.js';
import { SCENARIOS } from './scenarios.js';
import { type Row, summarise } from './summary.js';
import { makeTools } from './tools.js';
import { FULL, QUICK, type Tools } from './workload.js';

/** What one run of the benchmarks works with. */
interface Run {
  readonly options: Options;
  readonly base: string;
  readonly reaper: Reaper;
  readonly tools: Tools;
}

const globalFsOf = ({ options, reaper }: Run, base: string): GlobalFs =>
  new GlobalFs(base, reaper, options.cli, options.nodeArguments);

function progress(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

async function firstLine(program: string, args: string[]): Promise<string> {
  const { stdout, stderr } = await run(program, args);
  return `${stdout}${stderr}`.split('\n')[0] ?? '';
}

async function versionsOf({ suites, cli }: Options): Promise<string> {
  const node = suites.has('node') ? [await firstLine('bindfs', ['--version'])] : [];
  const cluster = suites.has('cluster')
    ? [
        (await firstLine('etcd', ['--version'])).replace(' Version:', ''),
        (await firstLine('radosgw', ['--version'])).replace(/^ceph version (\S+).*/, 'Ceph RGW $1'),
        await firstLine('rclone', ['version']),
      ]
    : [];
  const revision = await firstLine('git', ['-C', projectDir, 'describe', '--always', '--dirty']);
  const version = await firstLine(process.execPath, [cli, '--version']);
  return [
    `Node ${process.versions.node}`,
    ...node,
    ...cluster,
    await firstLine('git', ['--version']),
    `GlobalFS ${version} (${revision})`,
  ].join(', ');
}

async function settingOf(options: Options, base: string): Promise<Setting> {
  const words = process.argv.slice(2);
  return {
    date: new Date().toISOString().slice(0, 10),
    command: ['npm run bench', ...(words.length > 0 ? ['--', ...words] : [])].join(' '),
    rounds: options.rounds,
    load: (loadavg()[0] ?? NaN).toFixed(1),
    kernel: release(),
    cpus: `${cpus().length} CPUs (${cpus()[0]?.model.trim() ?? 'unknown'})`,
    filesystem: await firstLine('stat', ['-f', '-c', '%T', base]),
    versions: await versionsOf(options),
    passthrough: undefined,
  };
}

async function passthroughOf(base: string): Promise<string> {
  const { passthrough } = await new ControlClient(join(base, 'globalfs')).status();
  return passthrough.enabled ? 'on' : `off (${passthrough.reason})`;
}

async function measureSpeed(run: Run): Promise<{ passthrough: string; rows: Row[] }> {
  const { options, base, reaper, tools } = run;
  const contestants: Contestant[] = [
    new PlainDirectory(base),
    new Bindfs(base, reaper),
    globalFsOf(run, base),
  ];
  const rows: Row[] = [];
  for (const contestant of contestants) await contestant.start();
  try {
    const passthrough = await passthroughOf(base);
    for (const scenario of SCENARIOS) {
      if (options.only?.has(scenario.id) === false) continue;
      const { rounds } = options;
      const measured = await measureScenario(scenario, contestants, tools, { rounds, progress });
      rows.push(...measured.map((one) => summarise(one, tools.scale)));
    }
    return { passthrough, rows };
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

async function measureClusterOf({ options, base, reaper, tools }: Run): Promise<ClusterReport> {
  // Only where it is needed: it brings the clients of etcd and S3 with it.
  const { measureCluster } = await import('./cluster/measure-cluster.js');
  const { cli, nodeArguments, rounds, quick, only } = options;
  const program = { cli, nodeArguments, reaper };
  const scale = quick ? QUICK_CLUSTER : FULL_CLUSTER;
  return measureCluster({ base, program, scale, rounds, tools, progress }, only);
}

async function measureAll(run: Run): Promise<Report> {
  const { only, suites } = run.options;
  const setting = await settingOf(run.options, run.base);
  const isNode = suites.has('node');
  const speed = isNode ? await measureSpeed(run) : { passthrough: undefined, rows: [] };
  const memory = isNode && only?.has(MEMORY) !== false ? await measureMemoryAlone(run) : undefined;
  const cluster = suites.has('cluster') ? await measureClusterOf(run) : undefined;
  return { setting: { ...setting, passthrough: speed.passthrough }, rows: speed.rows, memory, cluster };
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
