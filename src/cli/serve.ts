import { toGfsError, type GfsError } from '../core/errors.js';
import { errorFields, type LogFields } from '../core/logger.js';
import { serveControl, type ControlServer } from './control-server.js';
import { cacheBytesOf, type MountPlan } from './mount-plan.js';
import type { RunningMount } from './mount-service.js';
import { prepareMountpoint } from './mountpoint.js';
import { claimState, makeStateDir } from './state-dir.js';
import { unmount } from './unmount.js';
import { VERSION } from './version.js';
import type { ProcessLogger } from './winston-logger.js';

/** What runs while the mount is served. */
interface Serving {
  readonly mount: RunningMount;
  readonly control: ControlServer;
  readonly mountpoint: string;
}

async function start(plan: MountPlan, logger: ProcessLogger): Promise<Serving> {
  const mountpoint = await prepareMountpoint(plan.mountpoint, logger);
  await claimState(plan.stateDir, 'mount', mountpoint);
  const { startMount } = await import('./compose.js');
  const mount = await startMount({
    mountpoint,
    stateDir: plan.stateDir,
    cacheBytes: await cacheBytesOf(plan.cacheSize, plan.stateDir),
    readOnly: plan.readOnly,
    allowOther: plan.allowOther,
    passthrough: plan.passthrough,
    locks: plan.locks,
    flushIntervalMs: plan.flushIntervalMs,
    kernelOptions: plan.kernelOptions,
    ...(plan.cluster === undefined ? {} : { cluster: plan.cluster }),
    logger,
  });
  // Whoever awaits `ended` comes later; until then its failure must not count as unhandled.
  mount.ended.catch(() => undefined);
  try {
    return { mount, mountpoint, control: await serveControl(plan.stateDir, mount, logger) };
  } catch (thrown) {
    await mount.stop();
    throw thrown;
  }
}

/** One Ctrl-C arrives twice under npm: from the terminal, and passed on by npm (its signal-manager.js). */
const SAME_SIGNAL_MS = 500;

/** The first SIGINT or SIGTERM stops the mount in order; a second one ends the process at once. */
function stopOnSignals(serving: Serving, logger: ProcessLogger, hangupStops: boolean): void {
  let stoppingSinceMs: number | undefined;
  const stop = (signal: NodeJS.Signals): void => {
    if (stoppingSinceMs !== undefined) {
      if (performance.now() - stoppingSinceMs < SAME_SIGNAL_MS) return;
      logger.warn('second signal: ending at once; what is not stored yet is stored at the next mount', {
        signal,
      });
      const leave = (): void => process.exit(130);
      unmount(serving.mountpoint, { lazy: true }).then(leave, leave); // it may be unmounted already
      return;
    }
    stoppingSinceMs = performance.now();
    logger.info('stopping', { signal });
    serving.mount.stop().catch((thrown: unknown) => {
      logger.error('the mount did not stop in order', errorFields(thrown));
      process.exit(1);
    });
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  process.on('SIGHUP', (signal) => (hangupStops ? stop(signal) : logger.reopen()));
}

/** An error that nobody caught is a bug: its cause goes to the log, the process ends, no data is touched. */
export function dieOnBugs(logger: ProcessLogger): void {
  const die = (thrown: unknown): void => {
    logger.error('unexpected error; the process ends', errorFields(thrown));
    // The mount point is left stale on purpose: with it gone, programs would write to the directory beneath.
    setImmediate(() => process.exit(1));
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
}

/** Where it comes from matters of a bug only; all else is said by the message. */
export function failureFields(thrown: unknown): LogFields {
  const { stack, ...fields } = errorFields(toGfsError(thrown));
  return fields.code === 'INTERNAL' ? { ...fields, stack } : fields;
}

/**
 * Serves a mount in this process until it is unmounted or told to stop by a signal.
 * @param onServing called once when the mount answers
 */
export async function serve(
  plan: MountPlan,
  onServing: (mount: RunningMount, mountpoint: string) => Promise<void>,
): Promise<void> {
  makeStateDir(plan.stateDir);
  const { createProcessLogger } = await import('./winston-logger.js');
  const logger = createProcessLogger(plan.logLevel, plan.logFile);
  dieOnBugs(logger);
  let serving: Serving;
  try {
    serving = await start(plan, logger);
  } catch (thrown) {
    // Without a log file the caller's line on stderr says it.
    if (plan.logFile !== undefined) logger.error('cannot mount', failureFields(thrown));
    throw thrown;
  }
  // A terminal that closes ends what it shows; a mount with a log file goes on, as a server does.
  stopOnSignals(serving, logger, plan.logFile === undefined);
  logger.info('serving', { version: VERSION, mountpoint: serving.mountpoint, stateDir: plan.stateDir });
  await onServing(serving.mount, serving.mountpoint);
  await untilEnded(serving, logger);
}

async function untilEnded({ mount, control, mountpoint }: Serving, logger: ProcessLogger): Promise<void> {
  let failure: GfsError | undefined;
  try {
    await mount.ended;
  } catch (thrown) {
    failure = toGfsError(thrown);
    logger.error('the mount failed', errorFields(failure));
  }
  await mount.stop();
  await control.close();
  logger.info('ended', { mountpoint });
  if (failure !== undefined) throw failure;
}
