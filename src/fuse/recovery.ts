import type { NamespaceClient } from '../coordinator/index.js';
import type { Logger } from '../core/index.js';
import { type InodeRecord, isRegular } from '../namespace/index.js';
import type { ContentStat, NodeContentCache } from '../transfer/index.js';

/** What a mount left behind: content in staging, inodes without a name that nobody has open any more. */
export interface Recovered {
  readonly stagedFiles: number;
  readonly discardedFiles: number;
  readonly orphans: number;
}

/**
 * Brings namespace and staged content together after a start. The staged file is the truth about size and
 * mtime; content whose inode is no more goes.
 */
export async function recover(
  client: NamespaceClient,
  content: NodeContentCache,
  logger: Logger,
): Promise<Recovered> {
  let orphans = 0;
  for (const ino of await client.orphans()) {
    await client.execute({ kind: 'reap', ino });
    await content.discard(ino);
    orphans++;
  }
  let stagedFiles = 0;
  let discardedFiles = 0;
  for (const { ino, stat } of content.recover()) {
    const record = await client.inode(ino);
    if (record === undefined || !isRegular(record)) {
      await content.discard(ino);
      discardedFiles++;
      continue;
    }
    stagedFiles++;
    content.resume(await bringUpToDate(client, record, stat));
  }
  if (stagedFiles + discardedFiles + orphans > 0) {
    logger.info('recovered what the last mount left', { stagedFiles, discardedFiles, orphans });
  }
  await client.flush();
  return { stagedFiles, discardedFiles, orphans };
}

/**
 * The same where other mounts share the files: what was staged is sealed, unless its inode is gone. Whether it
 * can still be published shows then.
 */
export async function recoverShared(
  client: NamespaceClient,
  content: NodeContentCache,
  logger: Logger,
): Promise<void> {
  let stagedFiles = 0;
  let discardedFiles = 0;
  for (const { ino } of content.recover()) {
    const record = await client.inode(ino);
    if (record === undefined || !isRegular(record)) {
      await content.discard(ino);
      discardedFiles++;
    } else {
      content.resume(record);
      stagedFiles++;
    }
  }
  if (stagedFiles + discardedFiles > 0) {
    logger.info('recovered what the last mount left', { stagedFiles, discardedFiles });
  }
}

async function bringUpToDate(
  client: NamespaceClient,
  record: InodeRecord,
  stat: ContentStat,
): Promise<InodeRecord> {
  if (record.size === stat.size && record.mtimeNs === stat.mtimeNs) return record;
  // A file that was made and never written keeps the times of its making.
  const written = stat.size > 0 || record.size > 0;
  const { inode } = await client.execute({
    kind: 'setattr',
    ino: record.ino,
    timeNs: stat.mtimeNs,
    size: stat.size,
    allocatedBytes: stat.allocatedBytes,
    ...(written ? { mtimeNs: stat.mtimeNs } : {}),
    ctimeNs: stat.mtimeNs > record.ctimeNs && written ? stat.mtimeNs : record.ctimeNs,
  });
  return inode;
}
