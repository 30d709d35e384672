import { describe, expect, test } from '@jest/globals';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { isGlobalfs, isRoot, peer, projectDir } from '../support/mounted.js';
import { Probe } from '../support/probe.js';
import { run, shell } from '../support/run.js';
import { suiteMount } from '../support/suite-mount.js';

/** A name is made in 10 µs on one node; through a coordinator, one after the other, each is a commit in etcd. */
const [BIG, MORE, HUGE] = peer === 'cluster' ? [1_000, 50, 4_000] : [20_000, 1_000, 200_000];
const STEP = HUGE / 20;

const GIT = {
  GIT_AUTHOR_NAME: 'Test',
  GIT_AUTHOR_EMAIL: 'test@example.org',
  GIT_COMMITTER_NAME: 'Test',
  GIT_COMMITTER_EMAIL: 'test@example.org',
  GIT_CONFIG_GLOBAL: '/dev/null',
};

/** The whole tree below a directory as text: names, metadata, content hashes, xattrs. */
async function treeOf(path: string): Promise<string[]> {
  const probe = await Probe.start(path);
  try {
    return (await probe.ask('tree .')).split('\t').slice(2);
  } finally {
    await probe.end();
  }
}

/** Forty C files that call each other, and a Makefile with dependencies. */
async function makeCProject(dir: string): Promise<void> {
  const count = 40;
  await mkdir(dir, { recursive: true });
  const names = Array.from({ length: count }, (_, i) => `part${i}`);
  await writeFile(join(dir, 'parts.h'), names.map((name) => `int ${name}(int x);`).join('\n') + '\n');
  for (const [i, name] of names.entries()) {
    const next = names[i + 1];
    const body = next === undefined ? 'return x;' : `return ${next}(x) + ${i};`;
    await writeFile(
      join(dir, `${name}.c`),
      `#include "parts.h"\n#include <stdio.h>\nint ${name}(int x) { ${body} }\n`,
    );
  }
  await writeFile(
    join(dir, 'main.c'),
    '#include "parts.h"\n#include <stdio.h>\nint main(void) { printf("%d\\n", part0(1)); return 0; }\n',
  );
  await writeFile(
    join(dir, 'Makefile'),
    `OBJECTS = main.o ${names.map((name) => `${name}.o`).join(' ')}
program: libparts.a main.o
\tcc -o $@ main.o -L. -lparts
libparts.a: ${names.map((name) => `${name}.o`).join(' ')}
\tar rcs $@ $^
%.o: %.c parts.h
\tcc -O1 -g -c -o $@ $<
`,
  );
}

/** Every kind of thing that tar and rsync can carry; made by the probe and a shell. */
async function makeOddTree(dir: string): Promise<void> {
  await mkdir(dir);
  const probe = await Probe.start(dir);
  try {
    const answers = await probe.askAll([
      'put plain 1 100000',
      'link plain hard',
      'symlink plain soft',
      'symlink nowhere dangling',
      'mkfifo fifo 0640',
      'mkdir sub 02750',
      'mkdir sub/deep 01777',
      'put sub/deep/file 2 5000',
      'link plain sub/hard2',
      'put %ff%fe%80 3 10',
      'put new%0aline 4 10',
      `put ${'n'.repeat(255)} 5 10`,
      'put empty 6 0',
      'open 0 sparse O_CREAT|O_RDWR 0600',
      'ftruncate 0 50M',
      'pwrite 0 20M 7 10000',
      'pwrite 0 49M 8 10000',
      'close 0',
      'setxattr plain user.note hello',
      'setxattr sub user.binary 9:300',
      `setxattr plain system.posix_acl_access 0x0200000001000600ffffffff0200040001fe000004000400ffffffff10000600ffffffff20000400ffffffff`,
      ...(isRoot
        ? [
            'mknod device S_IFCHR|0600 1 3',
            'chown sub/deep/file 65534 65533',
            'chmod sub/deep/file 04755',
            'lchown soft 65533 65534',
          ]
        : []),
      'utimens plain 100.000000001 200.123456789',
      'utimens soft 3.5 4.000000004 AT_SYMLINK_NOFOLLOW',
      'utimens sub/deep/file 1.5 999999.999999999',
      'utimens sub/deep 7 8.000000008',
      'utimens sub 7 9.000000009',
      'utimens . 7 10.00000001',
    ]);
    expect(answers.filter((answer) => !answer.startsWith('='))).toEqual([]);
  } finally {
    await probe.end();
  }
}

describe('real programs work in the mount', () => {
  const mounted = suiteMount();

  test('git: clone, commit, status, gc and fsck', async () => {
    const { mountpoint, plain } = mounted();
    await shell(
      `git init -q -b main origin && cd origin
       for i in $(seq 300); do mkdir -p d$((i % 20)); seq $i $((i + 200)) > d$((i % 20))/f$i; done
       git add -A && git commit -qm first
       for i in $(seq 50); do echo more >> d$((i % 20))/f$i; git commit -qam "change $i"; done`,
      { cwd: plain, env: GIT },
    );
    await shell(
      `git clone -q --no-hardlinks ${join(plain, 'origin')} clone && cd clone
       git fsck --strict --full
       test -z "$(git status --porcelain)"
       for i in $(seq 20); do echo "$i" > n$i; git add n$i; git commit -qm "n$i"; done
       git mv d1 moved && git commit -qm moved && git branch b HEAD~10 && git checkout -q b && git checkout -q main
       git gc -q --aggressive --prune=now && git repack -adq && git fsck --strict --full
       test -z "$(git status --porcelain)"
       git clone -q . ../clone2 && git -C ../clone2 fsck --full && git -C ../clone2 log --oneline | wc -l
       git worktree add -q ../tree b && git -C ../tree status --porcelain`,
      { cwd: mountpoint, env: GIT },
    );
    await shell('rm -rf clone clone2 tree', { cwd: mountpoint });
  });

  test('make -j4 builds a C project, and rebuilds only what changed', async () => {
    const dir = join(mounted().mountpoint, 'cproject');
    await makeCProject(dir);
    await run('make', ['-j4'], { cwd: dir });
    expect((await run('./program', [], { cwd: dir })).stdout.trim()).toBe('742');
    expect((await run('make', ['-j4'], { cwd: dir })).stdout).toContain('up to date');
    await delay(1100); // past the second, for a filesystem that rounds times
    await shell('touch part7.c', { cwd: dir });
    const again = (await run('make', ['-j4'], { cwd: dir })).stdout;
    expect(again.split('\n').filter((line) => line.includes(' -c '))).toHaveLength(1);
  });

  test.each([
    [
      'tar',
      (from: string, to: string) =>
        `tar --xattrs --xattrs-include='*' --acls -S -C ${from} -cf - . | tar --xattrs --xattrs-include='*' --acls --numeric-owner -xpf - -C ${to}`,
    ],
    ['rsync -aHAX', (from: string, to: string) => `rsync -aHAXS --numeric-ids ${from}/ ${to}/`],
    ['cp -a', (from: string, to: string) => `cp -a --sparse=always ${from}/. ${to}/`],
  ])('%s there and back keeps metadata and content', async (name, command) => {
    const { mountpoint, plain } = mounted();
    const word = name.slice(0, 2);
    const [from, there, back] = [
      join(plain, `odd-${word}`),
      join(mountpoint, `odd-${word}`),
      join(plain, `back-${word}`),
    ];
    await makeOddTree(from);
    await mkdir(there);
    await mkdir(back);
    await shell(command(from, there));
    expect(await treeOf(there)).toEqual(await treeOf(from));
    if (isGlobalfs) await mounted().restart();
    expect(await treeOf(there)).toEqual(await treeOf(from));
    await shell(command(there, back));
    expect(await treeOf(back)).toEqual(await treeOf(from));
    const blocks = await shell(`stat -c %b ${join(back, 'sparse')}`);
    expect(Number(blocks.stdout) * 512).toBeLessThan(20 << 20);
  });

  test('sqlite3 in WAL mode keeps what it committed, with readers beside it and the writer killed', async () => {
    const database = join(mounted().mountpoint, 'test.db');
    const sql = (text: string): Promise<{ stdout: string }> =>
      run('sqlite3', ['-cmd', '.timeout 10000', database, text]);
    await sql(
      'PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(n INTEGER PRIMARY KEY, text TEXT);',
    );
    for (let life = 0; life < 4; life++) {
      const writer = spawn('sqlite3', ['-cmd', '.timeout 10000', database], {
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      let said = '';
      writer.stdout.on('data', (part: Buffer) => (said += part.toString()));
      writer.stdin.on('error', () => undefined); // it is killed below
      const insert = `INSERT INTO t(text) VALUES (hex(randomblob(200))); SELECT 'done ' || max(n) FROM t;\n`;
      writer.stdin.write(insert.repeat(5000));
      const readers = [1, 2].map(async () => {
        for (let i = 0; i < 10; i++) {
          const { stdout } = await sql('SELECT count(*) = max(n) FROM t WHERE n > 0; PRAGMA quick_check;');
          expect(stdout.trim()).toMatch(/^(1|)\s*ok$/);
        }
      });
      await Promise.all(readers);
      writer.kill('SIGKILL');
      await once(writer, 'close');
      const committed = Number(/done (\d+)\s*$/.exec(said.slice(0, said.lastIndexOf('\n')))?.[1] ?? 0);
      const { stdout } = await sql('PRAGMA integrity_check; SELECT count(*) FROM t; SELECT max(n) FROM t;');
      const [check, rows, top] = stdout.trim().split('\n');
      expect(check).toBe('ok');
      expect(rows).toBe(top);
      expect(Number(top)).toBeGreaterThanOrEqual(committed);
      expect(committed).toBeGreaterThan(0);
    }
  });

  test.each([
    ['pread and pwrite', '--ioengine=psync --direct=0'],
    ['O_DIRECT', '--ioengine=psync --direct=1'],
    ['shared mappings', '--ioengine=mmap'],
    ['libaio, O_DIRECT, 8 deep', '--ioengine=libaio --direct=1 --iodepth=8'],
    ['an fsync every 64 writes', '--ioengine=psync --fsync=64'],
    ['sequential, large blocks', '--ioengine=psync --rw=write --bs=256k --size=64m'],
  ])('fio verifies what it wrote: %s', async (name, options) => {
    const dir = join(mounted().mountpoint, `fio-${name.replace(/[^a-z]/gi, '')}`);
    await mkdir(dir);
    await shell(
      `cd ${dir} && fio --name=v --directory=. --rw=randrw --bs=4k --size=12m --numjobs=2 --output=/dev/null \
        --verify=crc32c --verify_fatal=1 --do_verify=1 --randseed=7 --group_reporting ${options}`,
    );
    await shell('rm -r .', { cwd: dir, allow: [1] });
  });

  test('npm ci of this project', async () => {
    const dir = join(mounted().mountpoint, 'npm');
    await mkdir(dir);
    await shell(
      `cp ${projectDir}/package.json ${projectDir}/package-lock.json . && npm ci --prefer-offline --ignore-scripts --no-audit --no-fund`,
      {
        cwd: dir,
        timeoutMs: 240_000,
      },
    );
    await shell(
      `node -e "require('typescript')" && node node_modules/typescript/bin/tsc --version && test -L node_modules/.bin/tsc`,
      { cwd: dir },
    );
    const { version } = JSON.parse(
      await readFile(join(dir, 'node_modules/typescript/package.json'), 'latin1'),
    ) as { version: string };
    expect(version).toMatch(/^\d/);
  }, 280_000);

  test(`a directory of ${BIG} entries is listed while it changes`, async () => {
    const probe = await Probe.start(mounted().mountpoint);
    try {
      await probe.ask('mkdir big 0755');
      expect(await probe.ask(`many big 0 ${BIG}`)).toBe('= 0');
      await probe.ask('dopen 0 big');
      const first = (await probe.ask(`dread 0 ${Math.floor(BIG * 0.35)}`)).split(' ').slice(2);
      expect(await probe.ask(`drop big 1 ${BIG} 2`)).toBe('= 0');
      expect(await probe.ask(`many big ${BIG} ${BIG + MORE} node`)).toBe('= 0');
      const rest = (await probe.ask('dread 0 100000')).split(' ').slice(2);
      const seen = [...first, ...rest];
      expect(new Set(seen).size).toBe(seen.length);
      // What was there all the time must have been listed (POSIX readdir): the even ones.
      const names = new Set(seen);
      const missed = Array.from({ length: BIG / 2 }, (_, i) => `f${2 * i}`).filter(
        (name) => !names.has(name),
      );
      expect(missed).toEqual([]);
      expect((await shell('ls big | wc -l', { cwd: mounted().mountpoint })).stdout.trim()).toBe(
        String(BIG / 2 + MORE),
      );
      await probe.ask('dclose 0');
    } finally {
      await probe.end();
    }
    await shell('rm -rf big', { cwd: mounted().mountpoint });
  });
});

describe(`one directory of ${HUGE} entries`, () => {
  const mounted = suiteMount();

  test('is made, listed whole, and removed', async () => {
    const probe = await Probe.start(mounted().mountpoint);
    try {
      await probe.ask('mkdir huge 0755');
      // FIFOs: entries and inodes without content.
      for (let from = 0; from < HUGE; from += STEP) {
        expect(await probe.ask(`many huge ${from} ${from + STEP} node`)).toBe('= 0');
      }
      expect((await shell('ls -f huge | sort -u | wc -l', { cwd: mounted().mountpoint })).stdout.trim()).toBe(
        String(HUGE + 2),
      );
      expect(await probe.ask('lsseek huge')).toBe(`= ${Math.min(HUGE + 2, 20_000)} wrong=0`);
      for (let from = 0; from < HUGE; from += STEP) {
        expect(await probe.ask(`drop huge ${from} ${from + STEP} 1`)).toBe('= 0');
      }
      expect(await probe.ask('rmdir huge')).toBe('= 0');
    } finally {
      await probe.end();
    }
  });
});
