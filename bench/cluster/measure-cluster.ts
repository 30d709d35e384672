import { measureCommands } from './commands.js';
import { measureContent } from './content.js';
import { measureCoordinatorMemory } from './coordinator-memory.js';
import type { ClusterRun } from './cluster-run.js';
import { measureDistance } from './distance.js';
import type { ClusterReport } from './report.js';
import type { ClusterPart } from './scale.js';

/** All or those whose names are in `only`, one after the other. */
export async function measureCluster(
  run: ClusterRun,
  only: ReadonlySet<string> | undefined,
): Promise<ClusterReport> {
  const wanted = (id: ClusterPart): boolean => only?.has(id) !== false;
  return {
    ...(wanted('commands') && { commands: await measureCommands(run) }),
    ...(wanted('coordinator-memory') && { memory: await measureCoordinatorMemory(run) }),
    ...(wanted('s3') && { content: await measureContent(run) }),
    ...(wanted('distance') && { distance: await measureDistance(run) }),
  };
}
