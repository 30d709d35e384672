import { problem, suggest } from './problem.js';
import { parseCacheSize, parseDurationMs, type CacheSize } from './quantities.js';

/** What `-o` said; a field that is absent was not said. */
export interface MountOptions {
  readOnly?: boolean;
  allowOther?: boolean;
  passthrough?: boolean;
  locks?: 'kernel' | 'shared';
  stateDir?: string;
  cacheSize?: CacheSize;
  flushIntervalMs?: number;
  /** globalfs.yaml */
  config?: string;
  /** In the order they were given; a later word takes back the earlier one that it contradicts. */
  kernelOptions: string[];
}

/** Words for the kernel, and what takes them back. Without a word, the kernel's default holds. */
const KERNEL_OPTIONS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    nosuid: ['suid'],
    nodev: ['dev'],
    noexec: ['exec'],
    noatime: ['atime', 'relatime', 'strictatime', 'lazytime'],
    nodiratime: ['diratime'],
    sync: ['async'],
    dirsync: [],
  }),
);

const TAKEN_BACK = new Set([...KERNEL_OPTIONS.values()].flat());

/** Words for other readers of fstab (mount(8), systemd); `user` and its kin imply nothing here. */
const FSTAB_WORDS = [
  'defaults',
  '_netdev',
  'nofail',
  'auto',
  'noauto',
  'user',
  'nouser',
  'users',
  'owner',
  'group',
];

type Apply = (options: MountOptions) => void;
type Assign = (value: string, options: MountOptions) => void;

const WORDS: ReadonlyMap<string, Apply> = new Map(
  Object.entries<Apply>({
    ro: (o) => (o.readOnly = true),
    rw: (o) => (o.readOnly = false),
    allow_other: (o) => (o.allowOther = true),
    noallow_other: (o) => (o.allowOther = false),
    passthrough: (o) => (o.passthrough = true),
    nopassthrough: (o) => (o.passthrough = false),
  }),
);

const VALUES: ReadonlyMap<string, Assign> = new Map(
  Object.entries<Assign>({
    locks: (value, o) => {
      if (value !== 'kernel' && value !== 'shared') {
        throw problem('CONFIG', `not a way to lock: '${value}'`, '-o locks', "use 'kernel' or 'shared'");
      }
      o.locks = value;
    },
    state: (value, o) => {
      if (value === '') throw problem('CONFIG', 'no directory given', '-o state', "write '-o state=DIR'");
      o.stateDir = value;
    },
    config: (value, o) => {
      if (value === '') throw problem('CONFIG', 'no file given', '-o config', "write '-o config=FILE'");
      o.config = value;
    },
    cache_size: (value, o) => (o.cacheSize = parseCacheSize(value, '-o cache_size')),
    flush_interval: (value, o) => (o.flushIntervalMs = parseDurationMs(value, '-o flush_interval')),
  }),
);

function kernelWord(word: string, options: MountOptions): boolean {
  if (KERNEL_OPTIONS.has(word) || TAKEN_BACK.has(word)) {
    options.kernelOptions = options.kernelOptions.filter(
      (earlier) => earlier !== word && !(KERNEL_OPTIONS.get(earlier) ?? []).includes(word),
    );
    if (KERNEL_OPTIONS.has(word)) options.kernelOptions.push(word);
    return true;
  }
  return false;
}

function unknown(word: string): never {
  const known = [
    ...WORDS.keys(),
    ...[...VALUES.keys()].map((key) => `${key}=`),
    ...KERNEL_OPTIONS.keys(),
    ...TAKEN_BACK,
    ...FSTAB_WORDS,
  ];
  const key = word.includes('=') ? `${word.slice(0, word.indexOf('='))}=` : word;
  const meant = suggest(key, known);
  throw problem(
    'CONFIG',
    `unknown mount option '${word}'`,
    '-o',
    meant === undefined ? "'globalfs mount --help' lists them" : `did you mean '${meant}'?`,
  );
}

/**
 * The comma lists of all `-o`, in order; the last word wins.
 * @throws GfsError CONFIG, with the word that was probably meant
 */
export function parseMountOptions(lists: readonly string[]): MountOptions {
  const options: MountOptions = { kernelOptions: [] };
  for (const word of lists.flatMap((list) => list.split(','))) {
    if (word === '' || FSTAB_WORDS.includes(word) || word.startsWith('x-')) continue;
    if (word === 'remount') {
      throw problem(
        'CONFIG',
        'a mount cannot be changed in place',
        '-o remount',
        'unmount it and mount it anew',
      );
    }
    const equals = word.indexOf('=');
    const apply = WORDS.get(word);
    const assign = equals < 0 ? undefined : VALUES.get(word.slice(0, equals));
    if (apply !== undefined) apply(options);
    else if (assign !== undefined) assign(word.slice(equals + 1), options);
    else if (!kernelWord(word, options)) unknown(word);
  }
  return options;
}
