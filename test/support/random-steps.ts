import { acl } from './acl.js';

/** A small seeded generator (mulberry32): the same seed gives the same numbers everywhere. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to `below - 1`. */
  int(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  }

  of<T>(list: readonly T[]): T {
    return list[this.int(list.length)] as T;
  }

  chance(percent: number): boolean {
    return this.int(100) < percent;
  }
}

/** `GLOBALFS_TEST_SEED` repeats a run; without it every run has another. */
export function testSeed(): number {
  const given = process.env.GLOBALFS_TEST_SEED;
  return given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
}

const BYTES_MAX = 1 << 18;
const DIRECT_ALIGN = 4096;
/** Slots 0 to 5 are opened buffered; 6 and 7 with O_DIRECT, and only aligned I/O is done on them. */
const BUFFERED_SLOTS = 6;
const NAMES = ['a', 'b', 'c', 'd', 'e', '%ff%80', 'f'];
const DIRS = ['.', 'a', 'b', 'a/c', 'b/d'];
const ACLS = ['u::rw-,u:65534:rw-,g::r--,m::rw-,o::---', 'u::rwx,g::r-x,g:65533:rwx,m::rwx,o::r-x'];
const FALLOCATE_MODES = [
  '0',
  'FALLOC_FL_KEEP_SIZE',
  'FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE',
  'FALLOC_FL_ZERO_RANGE',
  'FALLOC_FL_ZERO_RANGE|FALLOC_FL_KEEP_SIZE',
];
const OPEN_FLAGS = [
  'O_CREAT|O_RDWR',
  'O_RDWR',
  'O_CREAT|O_EXCL|O_RDWR',
  'O_CREAT|O_TRUNC|O_RDWR',
  'O_WRONLY',
];

type Make = (r: Random) => string[];

const path = (r: Random): string => {
  const dir = r.of(DIRS);
  return dir === '.' ? r.of(NAMES) : `${dir}/${r.of(NAMES)}`;
};
const mode = (r: Random): string =>
  r.of(['0644', '0600', '0755', '0777', '0666', '0640', '01777', '02775', '04755']);
const id = (r: Random): string => r.of(['0', '65534', '65533', '-1']);
const bytesAt = (r: Random): number => (r.chance(50) ? r.int(BYTES_MAX) : r.int(64) * DIRECT_ALIGN);
const count = (r: Random): number => (r.chance(70) ? 1 + r.int(9000) : 1 + r.int(BYTES_MAX / 2));

/** A slot, and an offset and a length that fit how it was opened. */
function span(r: Random): { slot: number; at: number; length: number } {
  const slot = r.int(8);
  if (slot < BUFFERED_SLOTS) return { slot, at: bytesAt(r), length: count(r) };
  return { slot, at: r.int(64) * DIRECT_ALIGN, length: (1 + r.int(16)) * DIRECT_ALIGN };
}

function openSteps(r: Random): string[] {
  const slot = r.int(8);
  let flags = r.of(OPEN_FLAGS);
  if (slot >= BUFFERED_SLOTS) flags += '|O_DIRECT';
  else if (r.chance(15)) flags += '|O_APPEND';
  else if (r.chance(10)) return [`open ${slot} ${r.of(DIRS)} O_TMPFILE|O_RDWR 0600`];
  // A FIFO without O_NONBLOCK would wait for ever.
  return [`open ${slot} ${path(r)} ${flags}|O_NONBLOCK ${mode(r)}`];
}

function mapSteps(r: Random): string[] {
  const slot = r.int(BUFFERED_SLOTS);
  const at = r.int(BYTES_MAX);
  const length = 1 + r.int(20_000);
  // Space first: what is stored behind the end of a file, in its last page, is unspecified.
  const grow = `posix_fallocate ${slot} ${at} ${length}`;
  const put = [`mput 0 ${at} ${r.int(1000)} ${length}`, 'msync 0', 'unmap 0'];
  const look = [`mget 0 ${r.int(BYTES_MAX)} ${length}`, 'unmap 0'];
  return r.chance(60)
    ? [grow, `map 0 ${slot} 0 ${BYTES_MAX * 2}`, ...put]
    : [`map 0 ${slot} 0 ${BYTES_MAX * 2} read`, ...look];
}

/** Marks before, asks after: which times the step between has changed. */
function timed(steps: string[], paths: string[]): string[] {
  return [`mark ${paths.join(' ')}`, ...steps, ...paths.map((p) => `moved ${p}`)];
}

function nameSteps(r: Random): string[] {
  const [from, to] = [path(r), path(r)];
  const step = r.of([
    () => `rename ${from} ${to}`,
    () => `rename ${from} ${to} ${r.of(['RENAME_NOREPLACE', 'RENAME_EXCHANGE'])}`,
    () => `link ${from} ${to}`,
    () => `unlink ${from}`,
    () => `unlink ${from}`,
    () => `mkdir ${from} ${mode(r)}`,
    () => `mkdir ${r.of(DIRS.slice(1))} 0777`,
    () => `rmdir ${from}`,
    () => `symlink ${r.of([...NAMES, '../a', 'a/c', 'missing'])} ${from}`,
    () => `mkfifo ${from} ${mode(r)}`,
    () => `mknod ${from} S_IFCHR|0666 1 3`,
    () => `put ${from} ${r.int(1000)} ${count(r)}`,
    () => `linkproc ${r.int(8)} ${from}`,
  ])();
  // O_TRUNC of `put` on a FIFO would wait for a reader.
  if (step.startsWith('put '))
    return [`open 5 ${from} O_CREAT|O_TRUNC|O_WRONLY|O_NONBLOCK 0644`, `write 5 ${r.int(99)} ${count(r)}`];
  if (!r.chance(30)) return [step];
  const parentOf = (p: string): string => (p.includes('/') ? p.slice(0, p.lastIndexOf('/')) : '.');
  return timed([step], [...new Set([parentOf(from), parentOf(to), to])]);
}

function attributeSteps(r: Random): string[] {
  const at = path(r);
  const key = `user.${r.of(['k1', 'k2', '%e4'])}`;
  const step = r.of([
    () => `chmod ${at} ${mode(r)}`,
    () => `chown ${at} ${id(r)} ${id(r)}`,
    () => `lchown ${at} ${id(r)} ${id(r)}`,
    () =>
      `utimens ${at} ${r.of(['now', 'omit', '5.000000007'])} ${r.of(['now', 'omit', `${r.int(999)}.${String(r.int(1e9)).padStart(9, '0')}`])} ${r.of(['0', 'AT_SYMLINK_NOFOLLOW'])}`,
    () => `truncate ${at} ${r.chance(5) ? '1G' : bytesAt(r)}`,
    () => `lsetxattr ${at} ${key} ${r.int(99)}:${r.int(200)} ${r.of(['0', 'XATTR_CREATE', 'XATTR_REPLACE'])}`,
    () => `lremovexattr ${at} ${key}`,
    () => `lgetxattr ${at} ${key} ${r.of([0, 10, 300])}`,
    () => `setxattr ${at} system.posix_acl_${r.of(['access', 'default'])} ${acl(r.of(ACLS))}`,
    () => `removexattr ${at} system.posix_acl_${r.of(['access', 'default'])}`,
  ])();
  return r.chance(30) ? timed([step], [at]) : [step];
}

function lookSteps(r: Random): string[] {
  return [
    r.of([
      () => `ls ${r.of([...DIRS, path(r)])}`,
      () => `lsseek ${r.of(DIRS)}`,
      () => `stat ${path(r)}`,
      () => `lstat ${path(r)}`,
      () => `fstat ${r.int(8)}`,
      () => `readlink ${path(r)}`,
      () => `listxattr ${path(r)} 1000`,
      () => `access ${path(r)} ${r.of(['R_OK', 'W_OK', 'X_OK', 'F_OK'])}`,
      () => `same ${path(r)} ${path(r)}`,
    ])(),
  ];
}

function contentSteps(r: Random): string[] {
  const { slot, at, length } = span(r);
  const other = span(r);
  return [
    r.of([
      () => `pread ${slot} ${at} ${length}`,
      () => `pread ${slot} ${at} ${length}`,
      () => `pwrite ${slot} ${at} ${r.int(1000)} ${length}`,
      () => `pwrite ${slot} ${at} ${r.int(1000)} ${length}`,
      () => `write ${r.int(BUFFERED_SLOTS)} ${r.int(1000)} ${count(r)}`,
      () => `read ${r.int(BUFFERED_SLOTS)} ${count(r)}`,
      () => `ftruncate ${slot} ${bytesAt(r)}`,
      () => `fallocate ${slot} ${r.of(FALLOCATE_MODES)} ${at} ${length}`,
      () => `copy ${r.int(BUFFERED_SLOTS)} ${at} ${r.int(BUFFERED_SLOTS)} ${other.at} ${other.length}`,
      () => `seek ${slot} ${r.int(BYTES_MAX)} ${r.of(['SEEK_SET', 'SEEK_END'])}`,
      () => `~ seek ${r.int(BUFFERED_SLOTS)} ${r.int(BYTES_MAX)} ${r.of(['SEEK_DATA', 'SEEK_HOLE'])}`,
      () => `fsync ${slot}`,
      () => `close ${slot}`,
    ])(),
  ];
}

function lockSteps(r: Random): string[] {
  const range = `${r.int(100)} ${r.int(100)}`;
  return [
    r.of([
      () =>
        `lock ${r.int(8)} ${r.of(['F_SETLK', 'F_OFD_SETLK'])} ${r.of(['F_RDLCK', 'F_WRLCK', 'F_UNLCK'])} ${range}`,
      () => `lock ${r.int(8)} ${r.of(['F_GETLK', 'F_OFD_GETLK'])} ${r.of(['F_RDLCK', 'F_WRLCK'])} ${range}`,
      () => `flock ${r.int(8)} ${r.of(['LOCK_SH', 'LOCK_EX', 'LOCK_UN'])}|LOCK_NB`,
    ])(),
  ];
}

const makers: [weight: number, make: Make][] = [
  [12, openSteps],
  [38, contentSteps],
  [6, mapSteps],
  [22, nameSteps],
  [12, attributeSteps],
  [12, lookSteps],
  [5, lockSteps],
];
const weights = makers.reduce((sum, [weight]) => sum + weight, 0);

/** The next few steps, which belong together. */
export function randomSteps(r: Random): string[] {
  let pick = r.int(weights);
  const [, make] = makers.find(([weight]) => (pick -= weight) < 0) as [number, Make];
  const steps = make(r);
  // A quarter of what happens is done by somebody else.
  if (!r.chance(25)) return steps;
  return [`as ${r.of(['65534 65534', '65534 65534 65533', '65533 65533'])}`, ...steps, 'as 0 0'];
}
