import { resolve } from 'node:path';
import { Command } from 'commander';
import { diagnose } from './doctor-checks.js';
import { gatherFacts } from './doctor-facts.js';
import { outputOption, parseOutputFormat, printFindings, tableLines } from './output.js';
import { problem } from './problem.js';
import { defaultStateDir } from './state-dir.js';

async function run(options: { state?: string; output: string }): Promise<void> {
  const format = parseOutputFormat(options.output);
  const stateDir = resolve(options.state ?? defaultStateDir());
  const checks = diagnose(await gatherFacts(stateDir));
  const rows = checks.map((check) => [
    check.verdict,
    check.name,
    check.advice === '' ? check.finding : `${check.finding}: ${check.advice}`,
  ]);
  await printFindings(format, { value: checks, lines: () => tableLines(['', 'CHECK', 'FINDING'], rows) });
  const failed = checks.filter((check) => check.verdict === 'fail');
  if (failed.length > 0) {
    const names = failed.map((check) => check.name).join(', ');
    throw problem('ENOSYS', 'GlobalFS cannot work here yet', names, 'do what their lines say');
  }
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('look for what this machine lacks to mount, and say what to do')
    .option('--state <DIR>', 'the state directory')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  globalfs doctor --state /data/globalfs')
    .action(run);
}
