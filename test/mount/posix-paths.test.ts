import { conform, scenario, type Scenario } from '../support/scenarios.js';

/** Every call that takes a path; P is the path. */
const calls: Record<string, string> = {
  access: 'access P R_OK',
  bind: 'bind 0 P',
  chdir: 'access P/. X_OK',
  chmod: 'chmod P 0640',
  chown: 'chown P 65534 65533',
  connect: 'connect 0 P',
  creat: 'open 0 P O_CREAT|O_RDWR 0640',
  'creat exclusively': 'open 0 P O_CREAT|O_EXCL|O_WRONLY 0640',
  exec: 'spawn P',
  getxattr: 'getxattr P user.k 10',
  lchown: 'lchown P 65534 65533',
  lgetxattr: 'lgetxattr P user.k 10',
  'link from': 'link P linked',
  'link from, following': 'link P linked AT_SYMLINK_FOLLOW',
  'link to': 'link here P',
  listxattr: 'listxattr P 100',
  lstat: 'lstat P',
  mkdir: 'mkdir P 0750',
  mkfifo: 'mkfifo P 0640',
  'mknod device': 'mknod P S_IFCHR|0640 1 3',
  'mknod file': 'mknod P S_IFREG|0640 0 0',
  'open for reading': 'open 0 P O_RDONLY|O_NONBLOCK',
  'open for writing': 'open 0 P O_WRONLY|O_NONBLOCK',
  'open a directory': 'open 0 P O_RDONLY|O_DIRECTORY',
  'open without following': 'open 0 P O_RDONLY|O_NOFOLLOW|O_NONBLOCK',
  'open truncating': 'open 0 P O_WRONLY|O_TRUNC|O_NONBLOCK',
  'open unnamed': 'open 0 P O_TMPFILE|O_RDWR 0600',
  opendir: 'ls P',
  readlink: 'readlink P',
  removexattr: 'removexattr P user.k',
  'rename file from': 'rename P renamed',
  'rename file to': 'rename here P',
  'rename directory to': 'rename heredir P',
  'rename to, NOREPLACE': 'rename here P RENAME_NOREPLACE',
  'rename, EXCHANGE': 'rename here P RENAME_EXCHANGE',
  rmdir: 'rmdir P',
  setxattr: 'setxattr P user.k v',
  stat: 'stat P',
  symlink: 'symlink target P',
  truncate: 'truncate P 100',
  unlink: 'unlink P',
  utimens: 'utimens P 1000000.5 2000000.25',
  'utimens of a link': 'utimens P 1000000.5 2000000.25 AT_SYMLINK_NOFOLLOW',
};

const places: string[] = [
  // What is there, and what is not.
  ...[
    'file',
    'dir',
    'fifo',
    'sock',
    'null',
    'tofile',
    'todir',
    'dangling',
    'loop',
    'new',
    'full',
    '.',
    '..',
    '',
  ],
  // Trailing slashes and dots.
  ...[
    'file/',
    'dir/',
    'new/',
    'tofile/',
    'todir/',
    'dangling/',
    'dir/.',
    'dir/..',
    'new/.',
    'full/',
    'loop/',
  ],
  // A component that is no directory, is missing, loops.
  ...[
    'file/x',
    'fifo/x',
    'sock/x',
    'null/x',
    'tofile/x',
    'todir/x',
    'dangling/x',
    'missing/x',
    'loop/x',
    'full/in',
  ],
  // NAME_MAX and PATH_MAX, from both sides.
  ...['{n*255}', '{n*256}', 'dir/{n*255}', 'dir/{n*256}', '{n*256}/x', 'missing/{n*256}'],
  ...['{./*2046}new', '{./*2046}file', '{./*2047}f', '{./*2047}fi', '{x*4096}'],
  // 40 links are followed, 41 are not.
  ...['../chain40', '../chain41', '../chain40/x'],
  // Bytes that are no text.
  ...['%ff%fe%80', 'dir/%01%7f%22%5c', 'a%20b%0ac'],
];

const setUp = `
  put file 1 100
  put here 2 50
  mkdir heredir 0755
  mkdir dir 0755
  mkdir full 0755
  put full/in 3 10
  mkfifo fifo 0644
  bind 1 sock
  mknod null S_IFCHR|0666 1 3
  symlink file tofile
  symlink dir todir
  symlink missing dangling
  symlink loop loop
`;
/** chain40 takes 40 steps to a file, chain41 one more. */
const chains = `
  put chained 1 10
  symlink chained chain1
  ${Array.from({ length: 40 }, (_, i) => `symlink chain${i + 1} chain${i + 2}`).join('\n')}
`;
const takeDown = `
  as 0 0
  ls .
  tree dir
  tree full
  lstat file
  lstat here
`;

/** One scenario per call, with all places, each in a directory of its own. */
function everyPlace(title: string, call: string): Scenario {
  const steps = places.map((place, i) => {
    const at = `
      mkdir p${i} 0755
      chdir p${i}
      ${setUp}
      ${call.replace(/\bP\b/g, () => place)}
      ${takeDown}
      chdir ..`;
    return at;
  });
  return scenario(title, chains + steps.join('\n'));
}

const closedPlaces = ['shut/file', 'shut/new', 'readonly/file', 'readonly/new', 'noexec/file', 'noexec/new'];

/** The same calls by somebody who may not search, or not write, the directory; and by one of its group. */
function closed(title: string, call: string): Scenario {
  const steps = closedPlaces.flatMap((place, i) =>
    ['as 65534 65534', 'as 65532 65532 65533'].map(
      (who, k) => `
      mkdir c${i}${k} 0777
      chmod c${i}${k} 0777
      chdir c${i}${k}
      put here 1 10
      chown here 65534 65533
      mkdir heredir 0755
      chown heredir 65534 65533
      ${['shut 0700', 'readonly 0755', 'noexec 0676']
        .map((d) => {
          const [name, mode] = d.split(' ') as [string, string];
          return `
            mkdir ${name} ${mode}
            put ${name}/file 1 10
            chown ${name}/file 65534 65533
            chown ${name} 0 65533
            chmod ${name} ${mode}`;
        })
        .join('\n')}
      ${who}
      ${call.replace(/\bP\b/g, () => place)}
      as 0 0
      tree .
      chdir ..`,
    ),
  );
  return scenario(`${title}, in directories that are closed to the caller`, steps.join('\n'));
}

conform(
  'paths mean what they mean on a local filesystem',
  Object.entries(calls).flatMap(([title, call]) => [everyPlace(title, call), closed(title, call)]),
);
