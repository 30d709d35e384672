import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Ino, ROOT_INO, timeNs } from '../../src/core/index.js';
import {
  type Command,
  MemoryStore,
  Namespace,
  S_IFDIR,
  S_IFREG,
  checkNamespace,
} from '../../src/namespace/index.js';
import { Model, type ModelStep } from './model.js';
import { caller, nameOf } from './support.js';

/** Few names and inodes, so that commands meet each other. An index picks from the inodes made so far. */
const name = fc.constantFrom('a', 'b', 'c', 'd');
const index = fc.nat(15);
const plan = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constantFrom('create', 'mkdir', 'symlink', 'mkdir'), at: index, name }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('tmpfile'), at: index }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('link'), of: index, at: index, name }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom('unlink', 'rmdir'), at: index, name }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('reap'), of: index }) },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('rename'),
      mode: fc.constantFrom('replace', 'noreplace', 'exchange'),
      at: index,
      name,
      to: index,
      newName: name,
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom('setxattr', 'removexattr'), of: index, name }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('chmod'), of: index }) },
);

interface Plan {
  op: string;
  at?: number;
  of?: number;
  to?: number;
  name?: string;
  newName?: string;
  mode?: string;
}

/** The plan as a step of the model, on the inodes that were made so far. */
function stepOf(each: Plan, made: readonly Ino[], ino: Ino): ModelStep {
  const pick = (at: number | undefined): Ino => made[(at ?? 0) % made.length] ?? ROOT_INO;
  return {
    ...each,
    parent: pick(each.at),
    newParent: pick(each.to),
    ino: each.of === undefined ? ino : pick(each.of),
  } as unknown as ModelStep;
}

function commandOf(step: ModelStep, now: bigint): Command {
  const stamp = timeNs(now);
  switch (step.op) {
    case 'create':
      return { kind: 'create', ...base(step), timeNs: stamp, mode: S_IFREG | 0o644, umask: 0 };
    case 'mkdir':
      return { kind: 'mkdir', ...base(step), timeNs: stamp, mode: S_IFDIR | 0o755, umask: 0 };
    case 'symlink':
      return { kind: 'symlink', ...base(step), timeNs: stamp, target: 'x' };
    case 'tmpfile':
      return {
        kind: 'tmpfile',
        parent: step.parent,
        ino: step.ino,
        caller,
        timeNs: stamp,
        mode: 0o600,
        umask: 0,
      };
    case 'link':
      return { kind: 'link', ino: step.ino, parent: step.parent, name: nameOf(step.name), timeNs: stamp };
    case 'unlink':
    case 'rmdir':
      return { kind: step.op, parent: step.parent, name: nameOf(step.name), timeNs: stamp };
    case 'reap':
      return { kind: 'reap', ino: step.ino };
    case 'rename': {
      const { parent, newParent, mode } = step;
      const names = { name: nameOf(step.name), newName: nameOf(step.newName) };
      return { kind: 'rename', parent, newParent, ...names, mode, timeNs: stamp };
    }
  }
}

const base = ({ parent, name: raw, ino }: { parent: Ino; name: string; ino: Ino }) => ({
  ...{ parent, ino, caller },
  name: nameOf(raw),
});

/** Commands that the model knows nothing of: they must not disturb what it knows. */
function attributeCommand(each: Plan, ino: Ino, now: bigint): Command | undefined {
  const common = { ino, timeNs: timeNs(now) };
  const attribute = `user.${each.name ?? ''}`;
  switch (each.op) {
    case 'setxattr':
      return {
        kind: 'setxattr',
        ...common,
        name: attribute,
        value: Buffer.from('v'),
        mode: 'either',
        killSgid: false,
      };
    case 'removexattr':
      return { kind: 'removexattr', ...common, name: attribute };
    case 'chmod':
      return { kind: 'setattr', ...common, mode: Number(now % 512n) };
    default:
      return undefined;
  }
}

function outcome(namespace: Namespace, command: Command): string {
  try {
    namespace.execute(command);
    return 'ok';
  } catch (thrown) {
    return (thrown as { code: string }).code;
  }
}

function expectSame(namespace: Namespace, model: Model): void {
  expect(namespace.stats().inodes).toBe(model.nodes.size);
  const orphans: Ino[] = [];
  for (const [ino, { children, kind }] of model.nodes) {
    const nlink = model.nlink(ino);
    if (nlink === 0) orphans.push(ino);
    expect({ ino, nlink: namespace.inode(ino)?.nlink }).toEqual({ ino, nlink });
    if (kind !== 'directory') continue;
    const entries = namespace.readDirectory(ino, '', 100).map((entry) => [entry.name, entry.ino]);
    expect(entries).toEqual([...children].sort(([a], [b]) => (a < b ? -1 : 1)));
    expect(namespace.inode(ino)?.entries).toBe(children.size);
  }
  expect(namespace.orphans().sort((a, b) => a - b)).toEqual(orphans.sort((a, b) => a - b));
}

async function agree(plans: readonly Plan[], cacheInodesMax: number): Promise<void> {
  const kv = new MemoryStore();
  const open = { kv, root: { uid: 0, gid: 0 }, cacheInodesMax };
  const namespace = await Namespace.open(open);
  const model = new Model(ROOT_INO);
  const made: Ino[] = [ROOT_INO];
  let now = 1n;
  for (const each of plans) {
    const ino = namespace.reserveInos(1).first;
    now++;
    const of = made[(each.of ?? 0) % made.length] ?? ROOT_INO;
    const attribute = attributeCommand(each, of, now);
    if (attribute !== undefined) {
      outcome(namespace, attribute);
      continue;
    }
    const step = stepOf(each, made, ino);
    expect([step, outcome(namespace, commandOf(step, now))]).toEqual([step, model.do(step)]);
    if (model.nodes.has(ino)) made.push(ino);
  }
  expectSame(namespace, model);
  expect(await checkNamespace(kv, { repair: false, timeNs: timeNs(now) })).toMatchObject({ problems: [] });
  await namespace.close();
  expectSame(await Namespace.open(open), model);
}

describe('any sequence of commands', () => {
  test.each([2, 65_536])(
    'agrees with a model of plain maps, with %i inodes cached',
    async (cacheInodesMax) => {
      const property = fc.asyncProperty(fc.array(plan, { minLength: 20, maxLength: 120 }), (plans) =>
        agree(plans, cacheInodesMax),
      );
      await fc.assert(property, { numRuns: 150 });
    },
  );
});
