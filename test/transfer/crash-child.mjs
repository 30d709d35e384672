/**
 * Writes, closes and seals files without end, until it is killed. Every line of `journal` is a fact that
 * survives the kill: `w <ino> <seed>` (writing begins), `c <ino> <seed> <size>` (closed), and each commit.
 *
 * argv: dist directory, base directory, first inode number, seed
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [dist, base, firstIno, seed] = process.argv.slice(2);
const load = (folder) => import(pathToFileURL(join(dist, folder, 'index.js')).href);
const { systemClock } = await load('core');
const { DirectoryStore } = await load('sites');
const { BlockStore, NodeContentCache } = await load('transfer');
const { LmdbStore } = await load('coordinator');

const journal = fs.openSync(join(base, 'journal'), 'a');
const note = (line) => fs.writeSync(journal, `${line}\n`);
const silent = () => undefined;
const versions = new Map();

const cache = new NodeContentCache({
  directory: join(base, 'node'),
  blocks: new BlockStore(new DirectoryStore(join(base, 'site')), { compression: 'none' }),
  index: LmdbStore.open({ path: join(base, 'index') }),
  clock: systemClock,
  logger: {
    error: (message, fields) => note(`! ${message} ${JSON.stringify(fields)}`),
    warn: silent,
    info: silent,
    debug: silent,
  },
  cacheBytes: 64 * 1024 * 1024,
  sealDelayMs: 2,
  commit: async (sealed) => {
    const { ino, baseVersion, manifest, size, allocatedBytes } = sealed;
    note(`commit ${JSON.stringify({ ino, baseVersion, manifest, size, allocatedBytes })}`);
    versions.set(ino, { ino, version: baseVersion + 1, manifest, size, allocatedBytes });
    return 'committed';
  },
});
await cache.start();

let state = Number(seed);
const random = (below) => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};
const SIZES = [0, 10, 4096, 70_000, 1_000_000, 5_000_000];

async function write(content, ino) {
  const fill = 1 + random(255);
  const size = SIZES[random(SIZES.length)];
  note(`w ${ino} ${fill}`);
  const bytes = Buffer.alloc(size, fill);
  fs.ftruncateSync(content.fd, 0);
  fs.writeSync(content.fd, bytes, 0, size, 0);
  note(`c ${ino} ${fill} ${size}`);
}

note('ready');
for (let ino = Number(firstIno); ; ino++) {
  const content = cache.create(ino);
  versions.set(ino, {
    ino,
    version: 0,
    manifest: { kind: 'inline', blocks: [] },
    size: 0,
    allocatedBytes: 0,
  });
  await write(content, ino);
  cache.close(content, 'write');
  if (random(3) === 0) {
    const again = Number(firstIno) + random(ino - Number(firstIno) + 1);
    note(`w ${again} 0`); // the open truncates
    const open = await cache.open(versions.get(again), 'truncate');
    await write(open, again);
    cache.close(open, 'truncate');
  }
  if (random(4) === 0) await new Promise((resolve) => setTimeout(resolve, random(8)));
}
