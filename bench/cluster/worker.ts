import { MountLoad } from './mount-load.js';
import { fillStore, loadEtcd, loadNamespace } from './peer-load.js';
import { getObjects, putObjects } from './store-load.js';
import type { InputOf, Order, OutputOf, Outcome, TaskName } from './worker-tasks.js';

/**
 * The program of a worker: a process that puts load on something and takes the time of it. It does one order
 * after the other, and ends when its parent does.
 */
const mount = new MountLoad();

const tasks: { readonly [T in TaskName]: (input: InputOf<T>) => Promise<OutputOf<T>> } = {
  connect: (input) => mount.connect(input).then(() => null),
  leave: () => mount.leave().then(() => null),
  create: (input) => mount.create(input),
  lookup: (input) => mount.lookup(input),
  visit: (input) => mount.visit(input).then(() => null),
  namespace: loadNamespace,
  etcd: loadEtcd,
  fill: fillStore,
  put: putObjects,
  get: getObjects,
};

async function outcomeOf({ task, input }: Order): Promise<Outcome> {
  try {
    const work = tasks[task] as (input: unknown) => Promise<unknown>;
    return { output: await work(input) };
  } catch (thrown) {
    return { error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) };
  }
}

process.on('message', (order: Order) => void outcomeOf(order).then((outcome) => process.send?.(outcome)));
process.on('disconnect', () => process.exit());
