import { resolve } from 'node:path';
import { Command } from 'commander';
import type { CoordinatorConfig } from './config/coordinator-config.js';
import { printLines } from './output.js';
import { thisProgram } from './this-program.js';
import { planLogLevel } from './log-level.js';

interface StartFlags {
  readonly config: string;
  readonly logFile?: string;
  readonly logLevel?: string;
}

function greeting(config: CoordinatorConfig): string[] {
  const { cluster, advertise, http, store, tls } = config;
  return [
    `A coordinator of cluster ${cluster} serves at ${advertise}${tls === undefined ? '' : ', with TLS'}.`,
    `  store:  ${store.kind === 'etcd' ? store.endpoints.join(', ') : store.kind}`,
    `  state:  ${config.stateDir}`,
    ...(http === undefined ? [] : [`  health: http://${http}/readyz`]),
    'Try, in another terminal:',
    `  ${thisProgram()} status ${tls === undefined ? `--coordinator ${advertise}` : '--cluster globalfs.yaml'}`,
    'Ctrl-C ends it.',
  ];
}

async function start(flags: StartFlags): Promise<void> {
  const { loadCoordinatorConfig } = await import('./config/coordinator-config.js');
  const config = loadCoordinatorConfig(resolve(flags.config));
  const logFile = flags.logFile === undefined ? undefined : resolve(flags.logFile);
  const logLevel = planLogLevel(flags.logLevel, logFile === undefined && process.stderr.isTTY);
  const { serveCoordinator } = await import('./coordinator-serve.js');
  await serveCoordinator(config, { logFile, logLevel }, () => printLines(greeting(config)));
}

export function coordinatorCommand(): Command {
  const coordinator = new Command('coordinator')
    .description('the server that mounts of a cluster share their namespace through')
    .addHelpText('after', '\nExample:\n  globalfs coordinator start --config coordinator.yaml');
  coordinator
    .command('start')
    .description('serve in the foreground until Ctrl-C or SIGTERM; one of several leads, the others stand by')
    .requiredOption('--config <FILE>', 'coordinator.yaml (examples/coordinator.yaml)')
    .option('--log-file <FILE>', 'log here (default: stderr)')
    .option('--log-level <LEVEL>', 'error, warn, info or debug (default: info; warn on a terminal)')
    .addHelpText('after', '\nExample:\n  globalfs coordinator start --config /etc/globalfs/coordinator.yaml')
    .action(start);
  return coordinator;
}
