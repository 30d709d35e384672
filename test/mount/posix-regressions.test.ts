import { conform, scenario, type Scenario } from '../support/scenarios.js';

const outsider = 'as 65532 65532';
const member = 'as 65532 65532 65533';

/** Found by conformance suites for POSIX filesystems; each failed once. */
const found: Scenario[] = [
  ...[
    ['a write', 'open 0 X O_WRONLY\nwrite 0 1 5\nclose 0'],
    ['truncate', 'truncate X 5'],
    ['ftruncate', 'open 0 X O_RDWR\nftruncate 0 5\nclose 0'],
    ['open with O_TRUNC', 'open 0 X O_WRONLY|O_TRUNC\nclose 0'],
    ['fallocate', 'open 0 X O_RDWR\nfallocate 0 0 0 9000\nclose 0'],
    ['chown of nothing', 'chown X -1 -1'],
  ].map(([how, steps]) =>
    scenario(
      `setgid without group-execute after ${how}: kept by members of the group alone`,
      [outsider, member, 'as 0 0']
        .flatMap((who, w) =>
          ['02666', '06666', '02676', '02767', '04666'].map((mode, m) =>
            `~ put X 1 20
             chown X 65534 65533
             chmod X ${mode}
             ${who}
             ${steps}
             as 0 0
             lstat X`.replace(/\bX\b/g, `x${m}${w}`),
          ),
        )
        .join('\n'),
    ),
  ),
  scenario(
    'a chown by the owner takes setgid without group-execute unless he is of the group',
    `~ put a 1 20
     ~ put b 1 20
     chown a 65532 65533
     chown b 65532 65533
     chmod a 02666
     chmod b 02666
     as 65532 65532 65531
     chown a -1 65531
     as 65532 65532 65533
     chown b -1 65532
     as 0 0
     lstat a
     lstat b`,
  ),
  ...[
    ['ftruncate to the same size', 'ftruncate 0 100'],
    ['ftruncate', 'ftruncate 0 50'],
    ['utimens of mtime alone', 'utimens f omit 1000'],
    ['another open for writing', 'open 1 f O_WRONLY'],
    ['chmod', 'chmod f 0600'],
  ].map(([how, step]) =>
    scenario(
      `atime of a read file stays through ${how}`,
      `~ put f 1 100
       utimens f 100 200
       open 0 f ${step?.startsWith('open') === true ? 'O_RDONLY' : 'O_RDWR'}
       read 0 10
       mark f
       ${step}
       moved f
       close 0
       moved f`,
    ),
  ),
  scenario(
    'mtime of a written file stays when atime alone is set',
    `~ put f 1 100
     utimens f 100 200
     open 0 f O_RDWR
     write 0 1 10
     mark f
     utimens f 300 omit
     moved f
     close 0
     moved f`,
  ),
  scenario(
    'readlink marks the access',
    `symlink target s
     mark s
     readlink s
     moved s`,
  ),
  scenario(
    'an xattr cannot be made and replaced at once',
    `~ put f 1 1
     setxattr f user.a 1 XATTR_CREATE|XATTR_REPLACE
     getxattr f user.a 10
     setxattr f user.a 1
     setxattr f user.a 2 XATTR_CREATE|XATTR_REPLACE
     getxattr f user.a 10`,
  ),
];

const locks: Scenario[] = [
  scenario(
    'a lock of an open file goes with its last descriptor, at once',
    `~ put f 1 100
     ${Array.from(
       { length: 50 },
       () =>
         `open 0 f O_RDWR
          open 1 f O_RDWR
          lock 0 F_OFD_SETLK F_WRLCK 0 10
          lock 1 F_OFD_SETLK F_WRLCK 5 1
          flock 0 LOCK_EX|LOCK_NB
          flock 1 LOCK_EX|LOCK_NB
          close 0
          lock 1 F_OFD_SETLK F_WRLCK 5 1
          flock 1 LOCK_EX|LOCK_NB
          close 1`,
     ).join('\n')}`,
  ),
  scenario(
    'closing another descriptor drops the locks of a process, not those of an open file',
    `~ put f 1 100
     open 0 f O_RDWR
     lock 0 F_SETLK F_WRLCK 0 10
     lock 0 F_OFD_SETLK F_WRLCK 20 10
     open 1 f O_RDONLY
     close 1
     @1 open 0 f O_RDWR
     @1 lock 0 F_SETLK F_WRLCK 0 10
     @1 lock 0 F_SETLK F_WRLCK 20 10
     close 0
     @1 lock 0 F_SETLK F_WRLCK 20 10`,
  ),
];

conform('Found by conformance suites', [...found, ...locks]);
conform('Found by conformance suites, with locks kept by the mount', locks, { args: ['-o', 'locks=shared'] });
conform('Found by conformance suites, without passthrough', found.slice(0, 7), {
  args: ['-o', 'nopassthrough'],
});
