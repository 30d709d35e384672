import { NO_SOURCES } from '../namespace/index.js';
import type { NodeContent } from './node-content.js';
import type { SealedFile } from './seal-file.js';

/** Where the version's blocks are: at this site, and where those are that it keeps of the version before. */
export function sourcesOf(
  { kept }: SealedFile,
  before: readonly string[],
  site: string | undefined,
): readonly string[] {
  if (site === undefined) return NO_SOURCES;
  return kept ? [site, ...before.filter((source) => source !== site)] : [site];
}

/** Nothing is published when a file was opened for writing and then left as it was. */
export function isUnchanged(content: NodeContent, sealed: SealedFile): boolean {
  const { base } = content;
  if (base.version === 0 || base.size !== sealed.size) return false;
  if (base.allocatedBytes !== sealed.allocatedBytes && !content.suspect) return false;
  return sameManifest(base.manifest, sealed.manifest);
}

function sameManifest(a: SealedFile['manifest'], b: SealedFile['manifest']): boolean {
  if (a.kind === 'object') return b.kind === 'object' && a.hash === b.hash;
  if (b.kind === 'object' || a.blocks.length !== b.blocks.length) return false;
  return a.blocks.every((block, i) => block.index === b.blocks[i]?.index && block.hash === b.blocks[i].hash);
}
