import { acl } from '../support/acl.js';
import { conform, scenario, type Scenario } from '../support/scenarios.js';

const callers = ['0 0', '65534 65534', '65534 65534 65533', '65533 65533', '65532 65533'];
const modes = ['0644', '04755', '02755', '06711', '02644', '01777'];

/** What happens to setuid and setgid, and who may do it, for each caller and each mode. */
const changes: Scenario[] = [
  'chmod X 07777',
  'chmod X 02644',
  'chown X 65534 65534',
  'chown X -1 65533',
  'chown X -1 -1',
  'chown X 65533 -1',
  'truncate X 5',
  'put X 1 20',
  'utimens X now now',
  'utimens X 5 6',
  'utimens X omit now',
  'utimens X omit omit',
  'setxattr X user.k v',
  'setxattr X trusted.k v',
].flatMap((step) =>
  ['put X 1 10', 'mkdir X 0755'].map((make) =>
    scenario(
      `${step} on what ${make} made: permission, setuid, setgid and times`,
      modes
        .flatMap((mode, m) =>
          callers.map((who, w) =>
            `~ ${make}
             chown X 65534 65533
             chmod X ${mode}
             utimens X 100 200
             mark X
             as ${who}
             ${step}
             as 0 0
             ~ moved X
             lstat X`.replace(/\bX\b/g, `x${m}${w}`),
          ),
        )
        .join('\n'),
    ),
  ),
);

const times: Scenario[] = [
  ['write', 'open 0 f O_WRONLY\nmark f\nwrite 0 1 10'],
  ['write of nothing', 'open 0 f O_WRONLY\nmark f\nwrite 0 1 0'],
  ['truncate to another size', 'mark f\ntruncate f 5'],
  ['truncate to the same size', 'mark f\ntruncate f 100'],
  ['ftruncate to the same size', 'open 0 f O_RDWR\nmark f\nftruncate 0 100'],
  ['open with O_TRUNC', 'mark f\nopen 0 f O_WRONLY|O_TRUNC'],
  ['chmod', 'mark f\nchmod f 0600'],
  ['chown to the same', 'mark f\nchown f 0 0'],
  ['chown of nothing', 'mark f\nchown f -1 -1'],
  ['link', 'mark f\nlink f g'],
  ['rename', 'mark f\nrename f f2\nrename f2 f'],
  ['setxattr', 'mark f\nsetxattr f user.a b'],
  ['fallocate', 'open 0 f O_RDWR\nmark f\nfallocate 0 0 0 5000'],
  ['punching a hole', 'open 0 f O_RDWR\nmark f\nfallocate 0 FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE 0 50'],
].map(([title, steps]) =>
  scenario(`which times change: ${title}`, `put f 1 100\nutimens f 100 200\n${steps}\nmoved f\nlstat f`),
);

const content: Scenario[] = [
  scenario(
    'O_APPEND from two processes interleaves whole writes',
    `open 0 f O_CREAT|O_WRONLY|O_APPEND 0644
     @1 open 0 f O_WRONLY|O_APPEND
     write 0 1 1000
     @1 write 0 2 1000
     write 0 3 1000
     @1 write 0 4 70000
     write 0 5 10
     @1 fstat 0
     readall f`,
  ),
  scenario(
    'files of 8 TiB, their holes and their ends',
    `open 0 big O_CREAT|O_RDWR 0644
     ftruncate 0 8T
     pwrite 0 8796093018112 7 4096
     fstat 0
     pread 0 8796093018112 4096
     pread 0 4T 4096
     seek 0 0 SEEK_HOLE
     sparse big
     fsync 0
     ftruncate 0 -1
     pwrite 0 -1 1 10
     seek 0 -1 SEEK_SET
     seek 0 9T SEEK_DATA
     truncate big 10
     fstat 0`,
  ),
  scenario(
    'data and holes, aligned to 64 KiB',
    `open 0 f O_CREAT|O_RDWR 0644
     pwrite 0 0 1 64K
     pwrite 0 1M 2 64K
     ftruncate 0 2M
     fsync 0
     seek 0 0 SEEK_DATA
     seek 0 0 SEEK_HOLE
     seek 0 64K SEEK_DATA
     seek 0 1M SEEK_HOLE
     seek 0 1200K SEEK_DATA
     seek 0 2M SEEK_DATA
     seek 0 2M SEEK_HOLE`,
  ),
  scenario(
    'open modes are kept to',
    `put f 1 10
     open 0 f O_RDONLY
     write 0 1 1
     ftruncate 0 1
     fallocate 0 0 0 10
     open 1 f O_WRONLY
     read 1 1
     map 0 1 0 10
     open 2 f O_PATH
     read 2 1
     fchmod 2 0600
     fstat 2
     open 3 . O_RDONLY|O_DIRECTORY
     read 3 10
     write 3 1 1
     ftruncate 3 0
     fsync 3`,
  ),
  scenario(
    'a program that runs cannot be written, and one that is written cannot run',
    `install /bin/sleep prog
     spawn prog 30
     open 0 prog O_WRONLY
     truncate prog 10
     reap
     open 0 prog O_WRONLY
     spawn prog 30
     close 0
     chmod prog 0644
     spawn prog 30`,
  ),
  scenario(
    'a write by somebody else takes setuid and setgid away',
    `put f 1 10
     chmod f 06777
     as 65534 65534
     open 0 f O_WRONLY
     write 0 1 5
     as 0 0
     lstat f
     chmod f 06777
     as 65534 65534
     open 0 f O_RDWR|O_TRUNC
     as 0 0
     lstat f`,
  ),
];

const granted = acl('u::rw-,u:65534:rw-,g::r--,g:65533:rwx,m::rwx,o::---');
const inherited = acl('u::rwx,u:65534:r-x,g::r-x,m::r-x,o::---');
const xattrs: Scenario[] = [
  scenario(
    'extended attributes: sizes, flags, namespaces',
    `put f 1 1
     setxattr f user.a 1:300 XATTR_REPLACE
     setxattr f user.a 1:300 XATTR_CREATE
     setxattr f user.a 2:10 XATTR_CREATE
     getxattr f user.a 0
     getxattr f user.a 299
     getxattr f user.a 300
     setxattr f user. v
     setxattr f nothing.a v
     setxattr f user.${'n'.repeat(250)} v
     setxattr f user.${'n'.repeat(251)} v
     setxattr f user.empty 1:0
     listxattr f 0
     listxattr f 3
     listxattr f 1000
     removexattr f user.a
     removexattr f user.a
     setxattr f user.huge 1:65537
     symlink f l
     lsetxattr l user.a v
     lsetxattr l trusted.a v
     mkfifo p 0666
     setxattr p user.a v
     tree .`,
  ),
  scenario(
    'ACLs decide, follow chmod, and are inherited',
    `put f 1 10
     setxattr f system.posix_acl_access ${granted}
     lstat f
     ${callers.map((who) => `as ${who}\naccess f R_OK\naccess f W_OK\naccess f X_OK`).join('\n')}
     as 0 0
     chmod f 0604
     getxattr f system.posix_acl_access 100
     setxattr f system.posix_acl_default ${granted}
     setxattr f system.posix_acl_access 0x02000000
     setxattr f system.posix_acl_access 0xff
     mkdir d 0755
     setxattr d system.posix_acl_default ${inherited}
     umask 077
     put d/f 1 1
     mkdir d/d 0777
     mkfifo d/p 0666
     symlink x d/l
     tree d
     as 65534 65534
     setxattr d system.posix_acl_default ${inherited}
     as 0 0
     removexattr d system.posix_acl_default
     put d/g 1 1
     tree d`,
  ),
];

const locks: Scenario[] = [
  scenario(
    'fcntl, OFD and flock locks between processes',
    `put f 1 100
     open 0 f O_RDWR
     open 1 f O_RDWR
     @1 open 0 f O_RDWR
     lock 0 F_SETLK F_WRLCK 10 20
     @1 lock 0 F_SETLK F_RDLCK 15 1
     @1 lock 0 F_GETLK F_RDLCK 0 0
     @1 lock 0 F_SETLK F_WRLCK 30 10
     lock 0 F_SETLK F_UNLCK 15 5
     @1 lock 0 F_SETLK F_WRLCK 15 5
     @1 lock 0 F_SETLKW F_WRLCK 10 5 100
     close 1
     @1 lock 0 F_SETLK F_WRLCK 10 5
     open 1 f O_RDWR
     lock 1 F_OFD_SETLK F_WRLCK 50 10
     @1 lock 0 F_OFD_GETLK F_WRLCK 0 0
     @1 lock 0 F_SETLK F_WRLCK 50 1
     flock 0 LOCK_EX|LOCK_NB
     @1 flock 0 LOCK_SH|LOCK_NB
     flock 1 LOCK_SH|LOCK_NB
     flock 0 LOCK_UN
     @1 flock 0 LOCK_SH|LOCK_NB`,
  ),
];

conform('attributes, content, extended attributes and locks as local filesystems have them', [
  ...changes,
  ...times,
  ...content,
  ...xattrs,
  ...locks,
]);
