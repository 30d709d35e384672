import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ino, silentLogger, systemClock } from '../../src/core/index.js';
import { BLOCK_BYTES, EMPTY_MANIFEST, MemoryStore } from '../../src/namespace/index.js';
import { DirectoryStore } from '../../src/sites/index.js';
import {
  BlockStore,
  type CommitOutcome,
  type ContentInode,
  NodeContentCache,
  type OpenContent,
  type Sealed,
} from '../../src/transfer/index.js';
import { pattern, until } from './rig.js';

let INO = 1 as Ino;

/** The inodes that two nodes share, as a coordinator would keep them. */
class SharedInodes {
  readonly records = new Map<Ino, ContentInode>();
  readonly commits: Sealed[] = [];

  commit(sealed: Sealed): CommitOutcome {
    const record = this.records.get(sealed.ino);
    if (record === undefined) return 'gone';
    if (record.version !== sealed.baseVersion) return 'conflict';
    this.commits.push(sealed);
    this.records.set(sealed.ino, { ...sealed, version: record.version + 1 });
    return 'committed';
  }

  get(ino: Ino): ContentInode {
    const record = this.records.get(ino);
    if (record === undefined) throw new Error(`no inode ${ino}`);
    return record;
  }
}

/** One node of a site of its own, which can read the other sites' stores. */
class Node {
  readonly aside: string[] = [];
  readonly store: DirectoryStore;
  cache: NodeContentCache;
  failing = false;
  conflictsBefore = 0;

  constructor(
    readonly name: string,
    readonly base: string,
    readonly inodes: SharedInodes,
    readonly stores: Map<string, DirectoryStore>,
    readonly stagedBytesMax = 1024 ** 3,
    readonly fullAfterMs?: number,
  ) {
    this.store = new DirectoryStore(join(base, `site-${name}`));
    stores.set(name, this.store);
    this.cache = this.#open();
  }

  #open(): NodeContentCache {
    const { name, stores } = this;
    const sites = { name, storeOf: (site: string) => Promise.resolve(stores.get(site)) };
    return new NodeContentCache({
      directory: join(this.base, name),
      blocks: new BlockStore(this.store, { compression: 'none', adopt: false, sites }),
      index: new MemoryStore(),
      commit: async (sealed) => {
        await Promise.resolve();
        if (this.failing) throw new Error('the coordinator is not there');
        return this.inodes.commit(sealed);
      },
      clock: systemClock,
      logger: silentLogger,
      cacheBytes: 1024 ** 3,
      stagedBytesMax: this.stagedBytesMax,
      sealDelayMs: 60_000, // nothing is sealed unless the test asks for it
      shared: {
        exists: (ino) => Promise.resolve(this.inodes.records.has(ino)),
        fullAfterMs: this.fullAfterMs,
        keptAside: (_ino, path) => void this.aside.push(path),
      },
    });
  }

  async restart(): Promise<void> {
    await this.cache.stop();
    this.cache = this.#open();
    await this.cache.start();
    for (const { ino } of this.cache.recover()) {
      const record = this.inodes.records.get(ino);
      if (record === undefined) await this.cache.discard(ino);
      else this.cache.resume(record);
    }
  }

  create(ino: Ino): OpenContent {
    this.inodes.records.set(ino, { ino, size: 0, version: 0, manifest: EMPTY_MANIFEST });
    return this.cache.create(ino);
  }

  async write(content: OpenContent, bytes: Uint8Array, offset: number): Promise<void> {
    for (let wait = content.ensureForWrite(offset, bytes.length); wait !== undefined;) {
      await wait;
      wait = content.ensureForWrite(offset, bytes.length);
    }
    fs.writeSync(content.fd, bytes, 0, bytes.length, offset);
  }

  async read(content: OpenContent): Promise<Buffer> {
    const { size } = content.stat();
    await content.ensure(0, size);
    const bytes = Buffer.alloc(size);
    fs.readSync(content.fd, bytes, 0, size, 0);
    return bytes;
  }
}

let base: string;
let inodes: SharedInodes;
let here: Node;
let there: Node;

beforeAll(async () => {
  base = fs.mkdtempSync(join(tmpdir(), 'gfs-shared-'));
  inodes = new SharedInodes();
  const stores = new Map<string, DirectoryStore>();
  here = new Node('here', base, inodes, stores);
  there = new Node('there', base, inodes, stores);
  await here.cache.start();
  await there.cache.start();
});

beforeEach(() => {
  INO = (INO + 1) as Ino;
  inodes.commits.length = 0;
  here.aside.length = 0;
  here.conflictsBefore = here.cache.stats().conflicts;
});

afterAll(async () => {
  await here.cache.stop();
  await there.cache.stop();
  for (const store of here.stores.values()) store.close();
  fs.rmSync(base, { recursive: true });
});

/** Three blocks and a bit, written here and published, and open here still. */
async function published(): Promise<{ content: OpenContent; bytes: Buffer }> {
  const bytes = pattern(3 * BLOCK_BYTES + 77);
  const content = here.create(INO);
  await here.write(content, bytes, 0);
  await here.cache.checkpoint(INO, true);
  return { content, bytes };
}

describe('a checkpoint', () => {
  test('publishes content that is open for writing, and leaves it clean until it is changed again', async () => {
    const { content, bytes } = await published();
    expect(inodes.get(INO)).toMatchObject({ version: 1, size: bytes.length, sources: ['here'] });
    expect(content.staged).toBe(false);
    await here.write(content, Buffer.from('more'), 5);
    expect(content.staged).toBe(true);
    await here.cache.checkpoint(INO, false);
    expect(inodes.get(INO).version).toBe(2);
    here.cache.close(content, 'write');
  });

  test('says nothing new of what is clean', async () => {
    const { content } = await published();
    await here.cache.checkpoint(INO, false);
    expect(inodes.commits).toHaveLength(1);
    here.cache.close(content, 'write');
  });

  test('fails as the commit fails, and the content stays staged for the next one', async () => {
    const content = here.create(INO);
    await here.write(content, Buffer.from('kept'), 0);
    here.failing = true;
    await expect(here.cache.checkpoint(INO, true)).rejects.toThrow('the coordinator is not there');
    expect(content.staged).toBe(true);
    here.failing = false;
    await here.cache.checkpoint(INO, true);
    expect(inodes.get(INO)).toMatchObject({ version: 1, size: 4 });
    here.cache.close(content, 'write');
  });

  test('carries the mtime of the staged file', async () => {
    const content = here.create(INO);
    await here.write(content, Buffer.from('x'), 0);
    content.setTimes(5_000_000_007n as never, 9_000_000_011n as never);
    await here.cache.checkpoint(INO, true);
    expect(inodes.commits.at(-1)).toMatchObject({ mtimeNs: 9_000_000_011n });
    here.cache.close(content, 'write');
  });

  test('takes over what was closed and waits to be sealed', async () => {
    const content = here.create(INO);
    await here.write(content, Buffer.from('closed'), 0);
    here.cache.close(content, 'write');
    await here.cache.checkpoint(INO, false);
    expect(inodes.get(INO).version).toBe(1);
    expect(here.cache.stats().live).toBe(0);
  });
});

describe('another site', () => {
  test('reads from the site that has the blocks, and publishes with both as sources what it changes in part', async () => {
    const { content, bytes } = await published();
    const open = await there.cache.open(inodes.get(INO), 'write');
    expect(Buffer.compare(await there.read(open), bytes)).toBe(0);
    await there.write(open, Buffer.from('changed'), BLOCK_BYTES);
    await there.cache.checkpoint(INO, false);
    expect(inodes.get(INO)).toMatchObject({ version: 2, sources: ['there', 'here'] });
    bytes.write('changed', BLOCK_BYTES);
    await here.cache.refresh(content, inodes.get(INO));
    expect(Buffer.compare(await here.read(content), bytes)).toBe(0);
    there.cache.close(open, 'write');
    here.cache.close(content, 'write');
  });

  test('is enough when the own store has lost a block', async () => {
    const { content, bytes } = await published();
    here.cache.close(content, 'write');
    await here.cache.discard(INO);
    const record = { ...inodes.get(INO), sources: ['there', 'here'] };
    const open = await there.cache.open(record, 'read');
    expect(Buffer.compare(await there.read(open), bytes)).toBe(0);
    there.cache.close(open, 'read');
  });
});

describe('a refresh', () => {
  test.each([
    ['longer', 5 * BLOCK_BYTES + 3],
    ['shorter', BLOCK_BYTES + 1],
    ['empty', 0],
  ])('makes open content the other version: %s', async (_what, length) => {
    const { content } = await published();
    const open = await there.cache.open(inodes.get(INO), 'write');
    const bytes = pattern(length, 9);
    await open.truncate(0);
    if (length > 0) await there.write(open, bytes, 0);
    await there.cache.checkpoint(INO, false);
    await here.cache.refresh(content, inodes.get(INO));
    expect(content.version).toBe(2);
    expect(Buffer.compare(await here.read(content), bytes)).toBe(0);
    there.cache.close(open, 'write');
    here.cache.close(content, 'write');
  });

  test('fetches only the blocks that differ', async () => {
    const { content } = await published();
    const open = await there.cache.open(inodes.get(INO), 'write');
    await there.write(open, Buffer.from('one block'), 2 * BLOCK_BYTES);
    await there.cache.checkpoint(INO, false);
    await here.cache.refresh(content, inodes.get(INO));
    expect(content.whole).toBe(false);
    expect(content.ensure(0, 2 * BLOCK_BYTES)).toBeUndefined();
    expect(content.ensure(3 * BLOCK_BYTES, 77)).toBeUndefined();
    const fetched = content.ensure(2 * BLOCK_BYTES, 1);
    expect(fetched).toBeDefined();
    await fetched;
    there.cache.close(open, 'write');
    here.cache.close(content, 'write');
  });

  test('keeps aside what was written here meanwhile, and nothing of it is published', async () => {
    const { content, bytes } = await published();
    const open = await there.cache.open(inodes.get(INO), 'write');
    await there.write(open, Buffer.from('theirs'), 0);
    await there.cache.checkpoint(INO, false);
    await here.write(content, Buffer.from('ours, too late'), 0);
    const aside = await here.cache.refresh(content, inodes.get(INO));
    expect(here.aside).toEqual([aside]);
    expect(fs.readFileSync(aside ?? '', 'latin1').startsWith('ours, too late')).toBe(true);
    bytes.write('theirs');
    expect(Buffer.compare(await here.read(content), bytes)).toBe(0);
    expect(inodes.get(INO).version).toBe(2);
    expect(here.cache.stats().conflicts).toBe(here.conflictsBefore + 1);
    there.cache.close(open, 'write');
    here.cache.close(content, 'write');
  });
});

describe('after a crash', () => {
  test('what was staged on the current version is published', async () => {
    const { content, bytes } = await published();
    await here.write(content, Buffer.from('staged'), 0);
    here.cache.close(content, 'write');
    await here.restart();
    await here.cache.flushAll();
    bytes.write('staged');
    const open = await there.cache.open(inodes.get(INO), 'read');
    expect(Buffer.compare(await there.read(open), bytes)).toBe(0);
    there.cache.close(open, 'read');
    expect(here.aside).toEqual([]);
  });

  test('what was staged on an older version is kept aside', async () => {
    const { content } = await published();
    await here.write(content, Buffer.from('staged'), 0);
    here.cache.close(content, 'write');
    const open = await there.cache.open(inodes.get(INO), 'write');
    await there.write(open, Buffer.from('theirs'), 0);
    await there.cache.checkpoint(INO, false);
    there.cache.close(open, 'write');
    await here.restart();
    await here.cache.flushAll();
    expect(inodes.get(INO).version).toBe(2);
    expect(here.aside).toHaveLength(1);
    expect(fs.readFileSync(here.aside[0] ?? '', 'latin1').startsWith('staged')).toBe(true);
  });

  test('what was published just before it is no conflict with itself', async () => {
    const { content } = await published();
    await here.write(content, Buffer.from('again'), 0);
    here.cache.close(content, 'write');
    // The commit arrives, its answer does not.
    here.failing = true;
    const asked = here.cache.checkpoint(INO, false).catch(() => undefined);
    await asked;
    const open = await there.cache.open(inodes.get(INO), 'write');
    await there.write(open, Buffer.from('again'), 0);
    await there.cache.checkpoint(INO, false);
    there.cache.close(open, 'write');
    here.failing = false;
    await here.restart();
    await here.cache.flushAll();
    expect(here.aside).toEqual([]);
    expect(inodes.get(INO).version).toBe(2);
  });

  test('content of an inode that is gone is not stored', async () => {
    const content = here.create(INO);
    await here.write(content, pattern(100, 77), 0);
    const before: string[] = [];
    for await (const { key } of here.store.list('blocks/')) before.push(key);
    here.cache.close(content, 'write');
    inodes.records.delete(INO);
    await here.cache.flushAll();
    const objects: string[] = [];
    for await (const { key } of here.store.list('blocks/')) objects.push(key);
    expect(objects).toEqual(before);
    expect(here.cache.stats().live).toBe(0);
  });
});

test('writers wait while as much is staged as may be, and get ENOSPC when the store does not come back in time', async () => {
  const stores = new Map<string, DirectoryStore>();
  const small = new Node('small', base, inodes, stores, 4096, 500);
  await small.cache.start();
  const content = small.create(INO);
  await small.write(content, pattern(100_000), 0);
  small.cache.close(content, 'write');
  small.failing = true;
  await small.cache.flushAll().catch(() => undefined);
  await expect(small.cache.open(inodes.get(INO), 'write')).rejects.toMatchObject({ code: 'ENOSPC' });
  small.failing = false;
  const waiting = small.cache.open(inodes.get(INO), 'read');
  small.cache.close(await waiting, 'read');
  await small.cache.flushAll();
  await until(() => small.cache.stats().stagedBytes === 0);
  small.cache.close(await small.cache.open(inodes.get(INO), 'write'), 'write');
  await small.cache.stop();
  small.store.close();
});
