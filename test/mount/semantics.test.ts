import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isGlobalfs, isRoot, projectDir, withMount } from '../support/mounted.js';
import { Probe } from '../support/probe.js';
import { run } from '../support/run.js';
import { suiteMount } from '../support/suite-mount.js';

/**
 * Runs the examples of doc/SEMANTICS.md. A fenced block that begins with ```console is one session of bash
 * in a directory of its own on a mount: lines after `$ ` are commands (`> ` continues one), the lines below
 * are what it prints, to stdout or stderr. Words behind `console`: `root` (only run as root), and mount
 * options as `-o LIST`.
 */
const DOCUMENT = 'doc/SEMANTICS.md';

interface Command {
  readonly line: number;
  readonly text: string;
  readonly expected: string[];
}

interface Example {
  readonly line: number;
  readonly heading: string;
  readonly root: boolean;
  readonly options: string;
  readonly commands: Command[];
}

function parse(text: string): Example[] {
  const examples: Example[] = [];
  let heading = '';
  let open: Example | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^```(.*)$/.exec(line);
    const at = index + 1;
    if (open === undefined) {
      if (line.startsWith('#')) heading = line.replace(/^#+ /, '');
      const words = fence?.[1]?.split(' ') ?? [];
      if (words[0] !== 'console') continue;
      const options = words.includes('-o') ? (words[words.indexOf('-o') + 1] ?? '') : '';
      open = { line: at, heading, root: words.includes('root'), options, commands: [] };
    } else if (fence !== null) {
      examples.push(open);
      open = undefined;
    } else addLine(open, line, at);
  }
  if (open !== undefined) throw new Error(`${DOCUMENT}:${open.line}: the block does not end`);
  return examples;
}

function addLine(example: Example, line: string, at: number): void {
  const last = example.commands.at(-1);
  if (line.startsWith('$ ')) example.commands.push({ line: at, text: line.slice(2), expected: [] });
  else if (last === undefined) throw new Error(`${DOCUMENT}:${at}: output before the first command`);
  else if (line.startsWith('> ') && last.expected.length === 0) {
    example.commands.splice(-1, 1, { ...last, text: `${last.text}\n${line.slice(2)}` });
  } else last.expected.push(line);
}

const MARK = '\x01';

/** One bash for all commands of a block; a line of its own says where the output of each ends. */
async function outputs(commands: readonly Command[], cwd: string): Promise<string[][]> {
  const script = commands.map(({ text }) => `${text}\nprintf '\\n${MARK}'`).join('\n');
  const env = { TZ: 'UTC', HOME: cwd };
  const { stdout } = await run('bash', ['-c', `umask 022; exec 2>&1\n${script}`], { cwd, env, allow: [1] });
  return stdout
    .split(`\n${MARK}`)
    .slice(0, -1)
    .map((part) => part.replace(/\n$/, '').split('\n'))
    .map((lines) => (lines.length === 1 && lines[0] === '' ? [] : lines));
}

/** The mount itself where it is read-only. */
async function ownDirectory(mountpoint: string, { line, options }: Example): Promise<string> {
  if (options.split(',').includes('ro')) return mountpoint;
  const path = join(mountpoint, `line${line}`);
  await mkdir(path);
  await chmod(path, 0o777);
  return path;
}

const examples = parse(readFileSync(join(projectDir, DOCUMENT), 'utf8'));

test('there are examples', () => {
  expect(examples.length).toBeGreaterThan(10);
});

const runs = isGlobalfs ? describe : describe.skip; // a plain directory differs: that is what it is about
for (const options of new Set(examples.map((example) => example.options))) {
  runs(`on a mount with ${options === '' ? 'no options' : `-o ${options}`}`, () => {
    const mounted = suiteMount({ args: options === '' ? [] : ['-o', options] });
    for (const example of examples.filter((each) => each.options === options)) {
      const runnable = isRoot || !example.root ? test : test.skip;
      runnable(`${DOCUMENT}:${example.line} ${example.heading}`, async () => {
        const cwd = await ownDirectory(mounted().mountpoint, example);
        const found = await outputs(example.commands, cwd);
        const shown = (lines: (index: number) => readonly string[] | undefined): string =>
          example.commands
            .map(({ line, text }, i) => [`${line}: $ ${text}`, ...(lines(i) ?? ['[not run]'])].join('\n'))
            .join('\n');
        expect(shown((i) => found[i])).toBe(shown((i) => example.commands[i]?.expected));
      });
    }
  });
}

/** Claims for which there is no command in a shell: system calls, by the probe. */
runs('by system calls', () => {
  const mounted = suiteMount();

  test.each([
    ['RENAME_WHITEOUT is refused', ['put a 1 1', 'rename a b RENAME_WHITEOUT'], '! EINVAL'],
    [
      'RENAME_EXCHANGE is kept',
      ['put c 1 1', 'put d 1 2', 'rename c d RENAME_EXCHANGE', 'lstat c'],
      /^= 0 mode=100644 .* size=2$/,
    ],
    [
      'a name in the way of RENAME_NOREPLACE',
      ['put e 1 1', 'put f 1 1', 'rename e f RENAME_NOREPLACE'],
      '! EEXIST',
    ],
    [
      'SEEK_DATA finds what lies behind a hole',
      ['open 1 s O_RDWR|O_CREAT', 'pwrite 1 1048576 1 4096', 'seek 1 0 SEEK_DATA'],
      '= 1048576',
    ],
    [
      'no data in the rest of a file',
      ['open 2 t O_RDWR|O_CREAT', 'ftruncate 2 4096', 'seek 2 0 SEEK_DATA'],
      '! ENXIO',
    ],
    [
      'punching needs KEEP_SIZE',
      ['open 3 u O_RDWR|O_CREAT', 'fallocate 3 FALLOC_FL_PUNCH_HOLE 0 4096'],
      '! EOPNOTSUPP',
    ],
    ['nothing is larger than 8 PiB', ['open 4 v O_RDWR|O_CREAT', 'ftruncate 4 9007199254740992'], '! EFBIG'],
    [
      'copy_file_range',
      ['put w 9 9', 'open 5 w O_RDONLY', 'open 6 x O_RDWR|O_CREAT', 'copy 5 0 6 0 9'],
      '= 9',
    ],
    [
      "direct reads of any alignment are the disk's to refuse",
      ['open 7 y O_RDWR|O_CREAT|O_DIRECT', 'pwrite 7 0 1 4096', 'pread 7 0 4096'],
      /^= 4096 /,
    ],
  ])('%s', async (_claim, lines, expected) => {
    const probe = await Probe.start(mounted().mountpoint);
    try {
      const answers = await probe.askAll(lines);
      if (typeof expected === 'string') expect(answers.at(-1)).toBe(expected);
      else expect(answers.at(-1)).toMatch(expected);
    } finally {
      await probe.end();
    }
  });
});

runs('a crash of the process right after it', () => {
  /** How a program makes a file durable; each must do by itself. */
  const WAYS = [
    ['an O_SYNC write', 'dd if=/dev/zero of=file bs=4096 count=2 oflag=sync status=none'],
    ['an O_DSYNC write', 'dd if=/dev/zero of=file bs=4096 count=2 oflag=dsync status=none'],
    ['fsync', 'dd if=/dev/zero of=file bs=4096 count=2 conv=fsync status=none'],
    ['fdatasync', 'dd if=/dev/zero of=file bs=4096 count=2 conv=fdatasync status=none'],
    ['fsync of the directory', 'dd if=/dev/zero of=file bs=4096 count=2 status=none; sync .'],
  ] as const;

  describe.each(['passthrough', 'nopassthrough'])('with -o %s', (option) => {
    test.each(WAYS)('%s keeps the file', async (_way, command) => {
      await withMount({ args: ['-o', option] }, async (mounted) => {
        await run('bash', ['-ec', command], { cwd: mounted.mountpoint });
        await mounted.kill();
        await mounted.start();
        expect((await stat(join(mounted.mountpoint, 'file'))).size).toBe(8192);
      });
    });
  });
});
