import { conform, scenario, type Scenario } from '../support/scenarios.js';

/** Makes something of each kind at a path. */
const kinds: Record<string, (path: string) => string> = {
  file: (p) => `put ${p} 7 100`,
  'linked file': (p) => `put ${p} 7 100\nlink ${p} ${p}.other`,
  'empty directory': (p) => `mkdir ${p} 0755`,
  'full directory': (p) => `mkdir ${p} 0755\nput ${p}/in 1 1\nmkdir ${p}/sub 0755`,
  symlink: (p) => `symlink elsewhere ${p}`,
  fifo: (p) => `mkfifo ${p} 0644`,
  device: (p) => `mknod ${p} S_IFBLK|0644 7 9`,
  nothing: () => '',
};
const flags = ['0', 'RENAME_NOREPLACE', 'RENAME_EXCHANGE', 'RENAME_NOREPLACE|RENAME_EXCHANGE', '8'];

/** Every kind onto every kind, with every flag, within a directory and across two. */
const renameMatrix: Scenario[] = Object.entries(kinds).map(([from, makeFrom]) =>
  scenario(
    `rename a ${from} onto anything`,
    Object.values(kinds)
      .flatMap((makeTo, i) =>
        flags.flatMap((flag, k) =>
          ['d', 'e'].map((dir) => {
            const base = `r${i}${k}${dir}`;
            return `
              mkdir ${base} 0755
              mkdir ${base}/d 0755
              mkdir ${base}/e 0755
              ${makeFrom(`${base}/d/from`)}
              ${makeTo(`${base}/${dir}/to`)}
              mark ${base}/d ${base}/e ${base}/d/from ${base}/${dir}/to
              rename ${base}/d/from ${base}/${dir}/to ${flag}
              moved ${base}/d
              moved ${base}/e
              moved ${base}/d/from ${base}/${dir}/to
              tree ${base}`;
          }),
        ),
      )
      .join('\n'),
  ),
);

const users = { root: '0 0', owner: '65534 65534', stranger: '65533 65533', member: '65532 65532 65531' };

/** Who may remove, rename and replace what in a sticky directory (and in one that is not). */
const sticky: Scenario[] = ['01777', '0777', '01775', '0775'].map((mode) =>
  scenario(
    `who may remove and rename in a directory of mode ${mode}`,
    Object.values(users)
      .flatMap((who, w) =>
        Object.values(users).flatMap((dirOwner, d) =>
          Object.values(users).map((fileOwner, f) => {
            const at = `t${w}${d}${f}`;
            const own = (path: string, owner: string): string =>
              `lchown ${path} ${owner.split(' ')[0]} ${owner.split(' ')[1]}`;
            return `
              mkdir ${at} 0777
              put ${at}/file 1 1
              put ${at}/mine 1 2
              mkdir ${at}/dir 0777
              symlink x ${at}/link
              put ${at}/old 1 3
              put ${at}/over 1 4
              ${['file', 'dir', 'link', 'over', 'old'].map((n) => own(`${at}/${n}`, fileOwner)).join('\n')}
              ${own(`${at}/mine`, who)}
              ${own(at, dirOwner)}
              chown ${at} -1 65531
              chmod ${at} ${mode}
              as ${who}
              rename ${at}/old ${at}/new
              rename ${at}/mine ${at}/over
              rename ${at}/dir ${at}/file RENAME_EXCHANGE
              unlink ${at}/link
              rmdir ${at}/dir
              unlink ${at}/dir
              unlink ${at}/file
              as 0 0
              ls ${at}`;
          }),
        ),
      )
      .join('\n'),
  ),
);

const making: Scenario[] = [
  'mkdir X 0777',
  'mkfifo X 0777',
  'mknod X S_IFREG|0666 0 0',
  'open 0 X O_CREAT|O_RDWR 0666',
  'symlink t X',
  'bind 0 X',
  'mkdir X 07777',
  'mkfifo X 07777',
  'open 0 X O_CREAT|O_RDWR 07777',
].map((step) =>
  scenario(
    `${step}: mode, owner and group under umask, setgid and user`,
    ['0', '022', '077', '0777']
      .flatMap((umask, u) =>
        ['0777', '02777', '03777', '02770'].flatMap((mode, m) =>
          ['0 0', '65534 65534', '65534 65534 65533', '65534 65533'].map(
            (who, w) => `
              mkdir m${u}${m}${w} 0777
              chown m${u}${m}${w} 65532 65533
              chmod m${u}${m}${w} ${mode}
              umask ${umask}
              as ${who}
              mark m${u}${m}${w}
              ${step.replace('X', `m${u}${m}${w}/x`)}
              as 0 0
              umask 0
              moved m${u}${m}${w}
              fresh m${u}${m}${w}/x 5
              lstat m${u}${m}${w}/x
              lstat m${u}${m}${w}`,
          ),
        ),
      )
      .join('\n'),
  ),
);

const others: Scenario[] = [
  scenario(
    'a directory cannot be renamed into itself or below, and .. is followed after a move',
    `mkdir a 0755
     mkdir a/b 0755
     mkdir a/b/c 0755
     rename a a/b
     rename a a/b/c/d
     rename a/b a/b
     rename a/b/c a/b
     rename a/b a
     rename a/b/c c
     lstat a/b
     lstat c/..
     same c/.. .
     rename a/b c/b
     same c/b/.. c
     rename . x
     rename a/.. x
     rename a .
     rename a ..
     rename c/ d
     rename d e/
     put f 1 1
     rename f g/
     rename f/ g
     tree .`,
  ),
  scenario(
    'rename of two names of one inode does nothing',
    `put a 1 10
     link a b
     rename a b
     rename a b RENAME_EXCHANGE
     rename a a
     rename a a RENAME_NOREPLACE
     tree .`,
  ),
  scenario(
    'rename to another filesystem is EXDEV, and so is link',
    `put a 1 10
     rename a /dev/shm/globalfs-test-never
     link a /dev/shm/globalfs-test-never
     rename /dev/null b
     link /dev/null b`,
  ),
  scenario(
    'a file that was replaced or removed lives on for who has it open',
    `put a 1 5000
     put b 2 100
     open 0 a O_RDWR
     mark a
     rename b a
     fstat 0
     pread 0 0 5000
     pwrite 0 6000 3 50
     ftruncate 0 5500
     fstat 0
     pread 0 4000 5000
     readall a
     linkfd 0 again
     linkproc 0 again
     unlink a
     open 1 a O_CREAT|O_RDWR 0644
     write 1 9 10
     unlink a
     fstat 1
     fchmod 1 0600
     fchown 1 65534 65533
     futimens 1 1 2
     fsetxattr 1 user.a b
     fgetxattr 1 user.a 10
     fstat 1
     fsync 1
     close 1
     close 0
     ls .`,
  ),
  scenario(
    'a removed directory that is open lists nothing and takes nothing',
    `mkdir d 0755
     put d/f 1 1
     open 0 d O_RDONLY|O_DIRECTORY
     dopen 0 d
     unlink d/f
     rmdir d
     fstat 0
     dread 0 10
     chdir /
     stat d`,
  ),
  scenario(
    'the working directory can be removed',
    `mkdir d 0755
     chdir d
     rmdir ../d
     mkdir e 0755
     open 0 f O_CREAT|O_RDWR 0644
     symlink x l
     stat .
     ls .
     rename ../a b`,
  ),
  scenario(
    'an unnamed file gets a name by linkat, once it is allowed one',
    `open 0 . O_TMPFILE|O_RDWR 0640
     write 0 1 10000
     fstat 0
     linkproc 0 named
     fstat 0
     readall named
     linkproc 0 named
     linkfd 0 second
     open 1 . O_TMPFILE|O_EXCL|O_RDWR 0640
     linkproc 1 never
     open 2 . O_TMPFILE|O_RDONLY 0640
     open 2 . O_TMPFILE|O_WRONLY 0640
     write 2 1 10
     close 2
     as 65534 65534
     open 3 . O_TMPFILE|O_RDWR 0640
     as 0 0
     chmod . 0777
     as 65534 65534
     open 3 . O_TMPFILE|O_RDWR 0640
     fstat 3
     linkproc 3 theirs
     as 0 0
     tree .`,
  ),
  scenario(
    'link counts of files and directories',
    `put f 1 1
     ${Array.from({ length: 40 }, (_, i) => `link f l${i}`).join('\n')}
     lstat f
     mkdir d 0755
     ${Array.from({ length: 20 }, (_, i) => `mkdir d/s${i} 0755`).join('\n')}
     lstat d
     rename d/s0 s0
     rename d/s1 d/s2
     lstat d
     rename d/s3 f
     rmdir d/s4
     lstat d
     lstat .
     ${Array.from({ length: 20 }, (_, i) => `unlink l${i}`).join('\n')}
     mark f
     unlink l30
     moved f
     lstat f
     tree .`,
  ),
  scenario(
    'what may be hard-linked',
    `symlink f l
     put f 1 1
     mkdir d 0755
     mkfifo p 0644
     mknod c S_IFCHR|0644 1 3
     bind 0 s
     link l l2
     link l f2 AT_SYMLINK_FOLLOW
     link d d2
     link p p2
     link c c2
     link s s2
     connect 1 s2
     link f f
     link f l
     link missing x
     mark f .
     link f f3
     moved f
     moved .
     put theirs 1 1
     chown theirs 65534 65534
     chmod . 0777
     as 65533 65533
     link theirs stolen
     link f stolen
     as 65534 65534
     link theirs again
     as 0 0
     tree .`,
  ),
  scenario(
    'symlinks hold any bytes, up to PATH_MAX',
    `symlink {x*255} l1
     readlink l1
     symlink {y*4095} l2
     readlink l2
     symlink {y*4096} l3
     symlink %ff%01%20 l4
     readlink l4
     lstat l4
     symlink  l5
     symlink / l6
     stat l6
     readlink .
     chmod l1 0600
     lchown l1 65534 65533
     lstat l1
     utimens l1 1.5 2.5 AT_SYMLINK_NOFOLLOW
     times l1
     unlink l6
     tree .`,
  ),
  scenario(
    'sockets, FIFOs and devices work',
    `bind 0 s
     connect 1 s
     write 1 1 5
     mkfifo p 0644
     open 2 p O_RDONLY|O_NONBLOCK
     open 3 p O_WRONLY|O_NONBLOCK
     write 3 1 100
     read 2 200
     close 2
     close 3
     open 3 p O_WRONLY|O_NONBLOCK
     mknod null S_IFCHR|0666 1 3
     mknod zero S_IFCHR|0666 1 5
     mknod big S_IFBLK|0600 259 70000
     lstat big
     open 4 null O_RDWR
     write 4 1 100
     read 4 100
     open 5 zero O_RDONLY
     read 5 100
     as 65534 65534
     mknod mine S_IFCHR|0666 1 3
     mknod x S_IFDIR|0755 0 0
     as 0 0
     mknod x S_IFDIR|0755 0 0
     unlink s
     connect 1 s
     tree .`,
  ),
  scenario(
    'directories are listed whole while they change',
    `mkdir d 0755
     many d 0 2000
     lsseek d
     dopen 0 d
     ~ dread 0 500
     drop d 0 2000 3
     many d 2000 2500
     ~ dread 0 100000
     drewind 0
     dread 0 100000
     dclose 0
     ls d
     drop d 2000 2500 1
     lsseek d
     rmdir d`,
  ),
  scenario(
    'names that differ in case, normal form or one byte are different names',
    `put a 1 1
     put A 2 1
     put %c3%a9 1 2
     put e%cc%81 1 3
     put %e9 1 4
     put %01 1 5
     put %5c 1 6
     put - 1 7
     put ... 1 8
     put .hidden 1 9
     put a%20 1 10
     put %0a 1 11
     put ${'%ff'.repeat(255)} 1 12
     put ${'%ff'.repeat(256)} 1 12
     ls .
     tree .`,
  ),
  scenario('statfs names the limits', 'statfs .\nput f 1 1\nstatfs f'),
];

conform('names: rename, link, unlink and listing as local filesystems do them', [
  ...renameMatrix,
  ...sticky,
  ...making,
  ...others,
]);
