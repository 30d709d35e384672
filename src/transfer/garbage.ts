import { type BlockHash, type Clock, GfsError } from '../core/index.js';
import type { ManifestRef } from '../namespace/index.js';
import type { BlockStore } from './block-store.js';
import { HashSet } from './hash-set.js';

/** A block is stored before the commit that names it: younger ones may belong to a seal elsewhere. */
export const GARBAGE_GRACE_MS = 60 * 60 * 1000;

export interface GarbageOptions {
  readonly blocks: BlockStore;
  /** The manifest of every inode, orphans included. Read once, after the collection has begun. */
  readonly manifests: Iterable<ManifestRef> | AsyncIterable<ManifestRef>;
  readonly clock: Clock;
  /** Objects that changed more recently stay. */
  readonly graceMs?: number;
  /** Without it the garbage is only counted. */
  readonly delete: boolean;
  readonly signal?: AbortSignal;
}

export interface GarbageReport {
  readonly objects: number;
  readonly bytes: number;
  /** Not referenced, and old enough to go. */
  readonly garbageObjects: number;
  readonly garbageBytes: number;
  /** Not referenced, but within the grace period or in use by a seal. */
  readonly heldObjects: number;
  readonly deletedObjects: number;
  readonly deletedBytes: number;
}

/**
 * Finds, and with `delete` deletes, the blocks and manifests that no inode refers to. Safe beside running
 * seals of the same process: see BlockGuard.
 * @throws GfsError CORRUPT when a manifest cannot be read: without it nothing can be called garbage
 */
export async function collectGarbage(options: GarbageOptions): Promise<GarbageReport> {
  const collection = options.blocks.guard.beginCollection();
  try {
    const referenced = await mark(options);
    return await sweep(options, referenced, (hash, remove) => collection.tryDelete(hash, remove));
  } finally {
    collection.end();
  }
}

async function mark({ blocks, manifests, signal }: GarbageOptions): Promise<HashSet> {
  const referenced = new HashSet();
  for await (const ref of manifests) {
    throwIfAborted(signal);
    if (ref.kind === 'inline') {
      for (const { hash } of ref.blocks) referenced.add(hash);
    } else {
      referenced.add(ref.hash);
      const manifest = await blocks.loadManifest(ref, undefined, signal);
      for (const { hash } of manifest.blocks()) referenced.add(hash);
    }
  }
  return referenced;
}

async function sweep(
  options: GarbageOptions,
  referenced: HashSet,
  tryDelete: (hash: BlockHash, remove: () => Promise<void>) => Promise<boolean>,
): Promise<GarbageReport> {
  const { store } = options.blocks;
  const oldestMs = options.clock.wallMs() - (options.graceMs ?? GARBAGE_GRACE_MS);
  const report = {
    objects: 0,
    bytes: 0,
    garbageObjects: 0,
    garbageBytes: 0,
    heldObjects: 0,
    deletedObjects: 0,
    deletedBytes: 0,
  };
  for (const prefix of ['blocks/', 'manifests/']) {
    for await (const { key, bytes, modifiedMs } of store.list(prefix, options.signal)) {
      const hash = key.slice(key.lastIndexOf('/') + 1) as BlockHash;
      report.objects++;
      report.bytes += bytes;
      if (!/^[0-9a-f]{64}$/.test(hash) || referenced.has(hash)) continue; // what is not ours stays
      if (modifiedMs > oldestMs) {
        report.heldObjects++;
        continue;
      }
      if (options.delete && !(await tryDelete(hash, () => store.delete(key, options.signal)))) {
        report.heldObjects++;
        continue;
      }
      report.garbageObjects++;
      report.garbageBytes += bytes;
      if (!options.delete) continue;
      report.deletedObjects++;
      report.deletedBytes += bytes;
    }
  }
  return report;
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true)
    throw new GfsError('CANCELLED', 'the caller gave up', { cause: signal.reason });
}
