import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeTree } from './tree.js';
import type { Goal, Scale, Scenario, Step } from './workload.js';

const SMALL_BYTES = 4096;
/** One pass over 10,000 cached files takes 10 ms, too short to compare. */
const STAT_PASSES = 20;

/** What the kernel does alone: passthrough. */
const LIKE_PLAIN: Goal[] = [{ of: 'plain', ratio: 0.9 }];
/** What the kernel answers from its own caches. */
const LIKE_PLAIN_STAT: Goal[] = [{ of: 'plain', ratio: 0.8 }];
/** What reaches the process. */
const LIKE_BINDFS: Goal[] = [{ of: 'bindfs', ratio: 0.6 }];
/** Whole programs: three times the plain directory's time. */
const THREE_TIMES: Goal[] = [{ of: 'plain', ratio: 1 / 3 }];

/** One big file. */
const content: Scenario = {
  id: 'content',
  steps: [
    {
      id: 'write',
      title: 'sequential write of a new file',
      unit: 'MB/s',
      operations: (scale) => scale.fileBytes / 1e6,
      goals: LIKE_PLAIN,
      measure: ({ tools, place }) => tools.load('seqwrite', join(place, 'big'), tools.scale.fileBytes),
    },
    {
      id: 'read',
      title: 'sequential read of a cached file',
      unit: 'MB/s',
      operations: (scale) => scale.fileBytes / 1e6,
      goals: LIKE_PLAIN,
      prepare: async ({ tools, place }) => {
        await tools.load('seqread', join(place, 'big'));
      },
      measure: ({ tools, place }) => tools.load('seqread', join(place, 'big')),
    },
    {
      id: 'random-read',
      title: '4 KiB random reads',
      unit: '/s',
      operations: (scale) => scale.randomReads,
      goals: [],
      measure: ({ tools, place }) => tools.load('randread', join(place, 'big'), tools.scale.randomReads),
    },
    {
      id: 'append',
      title: '4 KiB appends',
      unit: '/s',
      operations: (scale) => scale.appends,
      goals: [],
      measure: ({ tools, place }) => tools.load('append', join(place, 'log'), tools.scale.appends),
    },
  ],
  cleanUp: ({ tools, place }) => tools.run('rm', ['-f', join(place, 'big'), join(place, 'log')]),
};

/** A loop over the files of one directory. */
function overFiles(
  id: string,
  title: string,
  goals: Goal[],
  more: Partial<Step> & { command?: string; args?: number[]; each?: number } = {},
): Step {
  const { command = id, args = [], each = 1, ...rest } = more;
  return {
    id,
    title,
    unit: '/s',
    operations: (scale: Scale) => scale.files * each,
    goals,
    measure: ({ tools, place }) => tools.load(command, join(place, 'files'), tools.scale.files, ...args),
    ...rest,
  };
}

/** Many small files in one directory. */
const metadata: Scenario = {
  id: 'metadata',
  steps: [
    overFiles('create', 'create, write 4 KiB, close', LIKE_BINDFS, {
      args: [SMALL_BYTES],
      prepare: ({ tools, place }) => tools.run('mkdir', ['-p', join(place, 'files')]),
      settledTitle: 'the same, until it is sealed and on the disk',
    }),
    overFiles('stat-first', 'stat, first', LIKE_BINDFS, {
      command: 'stat',
      prepare: ({ tools, contestant }) => tools.forgetNames(contestant),
    }),
    overFiles('stat-again', 'stat, again', LIKE_PLAIN_STAT, {
      command: 'stat',
      args: [STAT_PASSES],
      each: STAT_PASSES,
      prepare: async ({ tools, place }) => {
        await tools.load('stat', join(place, 'files'), tools.scale.files);
      },
    }),
    overFiles('list', 'readdir with attributes (ls -l), first', LIKE_BINDFS, {
      prepare: ({ tools, contestant }) => tools.forgetNames(contestant),
    }),
    overFiles('open', 'open, close', LIKE_BINDFS, {
      // The names were dropped before: what lies below has to be found again first, by all.
      prepare: async ({ tools, place }) => {
        await tools.load('open', join(place, 'files'), tools.scale.files);
      },
    }),
    overFiles('rename', 'rename', LIKE_BINDFS, { each: 2 }),
    overFiles('mkdir', 'mkdir', LIKE_BINDFS),
  ],
};

/**
 * Deleting. ext4 does not give an inode's number away again for 35 s after it was deleted, and looks at all
 * such numbers at every create (`recently_deleted`, fs/ext4/ialloc.c): a create soon after many deletions
 * takes several times as long. So this comes last, and what it deletes is made before its first round.
 */
const removal: Scenario = {
  id: 'removal',
  prepare: async ({ tools, place }) => {
    await tools.run('mkdir', ['-p', join(place, 'files')]);
    await tools.load('create', join(place, 'files'), tools.scale.files, SMALL_BYTES);
  },
  steps: [overFiles('unlink', 'unlink', LIKE_BINDFS)],
};

const tarball: Scenario = {
  id: 'tarball',
  fixtures: async (tools) => {
    makeTree(join(tools.fixtures, 'tree'), tools.scale.files, 1);
    await tools.run('tar', ['-cf', join(tools.fixtures, 'tree.tar'), '-C', tools.fixtures, 'tree']);
  },
  steps: [
    {
      id: 'extract',
      title: 'extracting a tarball of small files',
      unit: 's',
      goals: THREE_TIMES,
      measure: ({ tools, place }) =>
        tools.timed('tar', ['-xf', join(tools.fixtures, 'tree.tar'), '-C', place]),
      settledTitle: 'the same, until it is sealed and on the disk',
    },
  ],
};

const GIT_SECOND_MS = 1100;

const git: Scenario = {
  id: 'git',
  fixtures: async (tools) => {
    const repository = join(tools.fixtures, 'repository');
    makeTree(repository, tools.scale.repositoryFiles, 2);
    const inRepository = ['-C', repository, '-c', 'user.name=bench', '-c', 'user.email=bench@localhost'];
    await tools.run('git', ['init', '-q', repository]);
    await tools.run('git', [...inRepository, 'add', '.']);
    await tools.run('git', [...inRepository, 'commit', '-q', '-m', 'All']);
    await tools.run('git', [...inRepository, 'gc', '-q']);
  },
  steps: [
    {
      id: 'clone',
      title: 'git clone of a local repository',
      unit: 's',
      goals: THREE_TIMES,
      measure: ({ tools, place }) => {
        const from = join(tools.fixtures, 'repository');
        return tools.timed('git', ['clone', '-q', '--no-hardlinks', from, join(place, 'clone')]);
      },
    },
    {
      id: 'status',
      title: 'git status',
      unit: 's',
      goals: THREE_TIMES,
      // git reads files again that changed in the second in which it wrote its index: the first status does.
      prepare: async ({ tools, place }) => {
        await delay(GIT_SECOND_MS);
        await tools.run('git', ['-C', join(place, 'clone'), 'status', '--porcelain']);
      },
      measure: ({ tools, place }) =>
        tools.timed('git', ['-C', join(place, 'clone'), 'status', '--porcelain']),
    },
  ],
};

export const SCENARIOS: readonly Scenario[] = [content, metadata, tarball, git, removal];
