/**
 * Writes a namespace as fast as it can until it is killed. Arguments: the transpiled sources, the store's
 * directory, a word for this run's names. Prints a number for each flush: how many files are durable.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [sources, path, run] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(sources, 'src', file)).href);
const { Namespace } = await load('namespace/index.js');
const { LmdbStore } = await load('coordinator/lmdb-store.js');

const kv = LmdbStore.open({ path, groupMs: 2 });
const namespace = await Namespace.open({ kv, root: { uid: 0, gid: 0 } });
const caller = { uid: 0, gid: 0 };
const { first, count } = namespace.reserveInos(200_000);
let ino = first;
let now = 1n;

const make = (kind, parent, name, mode) => {
  namespace.execute({ kind, parent, name, ino, caller, timeNs: now++, mode, umask: 0 });
  return ino++;
};
const from = make('mkdir', 1, `from-${run}`, 0o40755);
const to = make('mkdir', 1, `to-${run}`, 0o40755);

for (let file = 0; ino < first + count; file++) {
  const name = `f${file}`;
  make('create', from, name, 0o100644);
  namespace.execute({
    ...{ kind: 'setxattr', ino: ino - 1, name: 'user.a', value: Buffer.from(name) },
    ...{ mode: 'either', killSgid: false, timeNs: now++ },
  });
  namespace.execute({
    ...{ kind: 'rename', parent: from, name, newParent: to, newName: name },
    ...{ mode: 'replace', timeNs: now++ },
  });
  if (file % 3 === 0) {
    const { orphaned } = namespace.execute({ kind: 'unlink', parent: to, name, timeNs: now++ });
    namespace.execute({ kind: 'reap', ino: orphaned.ino });
  }
  if (file % 50 === 49) {
    await namespace.flush();
    process.stdout.write(`${file + 1}\n`);
  }
}
