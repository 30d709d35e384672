import type { CoordinatorStore } from '../coordinator/coordinator-service.js';
import type { TlsMaterial } from '../coordinator/grpc/index.js';
import { errorFields, type Logger } from '../core/logger.js';
import { isLoopback, parseAddress } from './config/address.js';
import type { CoordinatorConfig } from './config/coordinator-config.js';
import type { TlsFiles } from './config/fields.js';
import type { LogLevel } from './log-level.js';
import { dieOnBugs, failureFields } from './serve.js';
import { claimState, makeStateDir } from './state-dir.js';
import { VERSION } from './version.js';
import type { ProcessLogger } from './winston-logger.js';

/** Without certificates everybody who can connect may do everything. */
function warnWithoutTls({ listen, tls }: CoordinatorConfig, logger: Logger): void {
  if (tls !== undefined) return;
  const here = isLoopback(parseAddress(listen));
  logger.warn(
    here
      ? 'no TLS is configured: every user of this machine can read and change everything'
      : 'no TLS is configured, and the address is not loopback: everybody who can connect can read and change everything',
    { listen },
  );
}

async function materialOf(files: TlsFiles | undefined): Promise<TlsMaterial | undefined> {
  if (files === undefined) return undefined;
  const { readTlsMaterial } = await import('../coordinator/grpc/index.js');
  return readTlsMaterial(files);
}

async function storeOf(store: CoordinatorConfig['store']): Promise<CoordinatorStore> {
  return store.kind === 'etcd' ? { ...store, tls: await materialOf(store.tls) } : store;
}

/** The first SIGINT or SIGTERM stops in order; a second one ends the process at once. */
function stopOnSignals(stop: () => Promise<void>, logger: ProcessLogger): void {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) {
      logger.warn('second signal: ending at once', { signal });
      process.exit(130);
    }
    stopping = true;
    logger.info('stopping', { signal });
    stop().catch((thrown: unknown) => {
      logger.error('the coordinator did not stop in order', errorFields(thrown));
      process.exit(1);
    });
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('SIGHUP', () => logger.reopen());
}

/**
 * Serves as a coordinator in this process until a signal ends it.
 * @param onServing called once when it listens
 * @throws GfsError what keeps it from serving: the store, the address, the state directory of another
 */
export async function serveCoordinator(
  config: CoordinatorConfig,
  log: { logFile: string | undefined; logLevel: LogLevel },
  onServing: () => void,
): Promise<void> {
  const { createProcessLogger } = await import('./winston-logger.js');
  const logger = createProcessLogger(log.logLevel, log.logFile);
  dieOnBugs(logger);
  try {
    makeStateDir(config.stateDir);
    await claimState(config.stateDir, 'coordinator start', null);
    warnWithoutTls(config, logger);
    const { startCoordinator } = await import('../coordinator/coordinator-service.js');
    const coordinator = await startCoordinator({
      ...config,
      store: await storeOf(config.store),
      tls: await materialOf(config.tls),
      software: VERSION,
      logger,
    });
    coordinator.ended.catch(() => undefined); // awaited below
    stopOnSignals(() => coordinator.stop(), logger);
    onServing();
    await coordinator.ended;
  } catch (thrown) {
    // Without a log file the caller's line on stderr says it.
    if (log.logFile !== undefined) logger.error('the coordinator cannot go on', failureFields(thrown));
    throw thrown;
  }
  logger.info('ended', { listen: config.listen });
}
