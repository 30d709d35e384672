import { formatBytes } from './quantities.js';

/** What `doctor-facts.ts` found out about this machine. */
export interface Facts {
  readonly nodeVersion: string;
  /** Why the addon does not load; null when it does. */
  readonly addonError: string | null;
  /** As uname(2) has it: `6.1.0-18-amd64` */
  readonly kernelRelease: string;
  readonly fuseDevice: 'usable' | 'missing' | 'denied';
  readonly uid: number;
  /** CAP_SYS_ADMIN is effective. */
  readonly sysAdmin: boolean;
  /** Path of fusermount3 and whether it is setuid root; null when it is not installed. */
  readonly fusermount: { readonly path: string; readonly setuid: boolean } | null;
  readonly userAllowOther: boolean;
  readonly state: {
    readonly path: string;
    /** The directory itself, or where it would be made. */
    readonly writable: boolean;
    readonly exists: boolean;
    readonly fsType: string;
    readonly freeBytes: number;
    readonly totalBytes: number;
    readonly freeInodes: number;
    /** null where it could not be tried. */
    readonly reflink: boolean | null;
    readonly hardLink: boolean | null;
  };
  readonly openFilesMax: number;
  readonly staleMounts: readonly string[];
}

export type Verdict = 'ok' | 'warn' | 'fail';

export interface Check {
  readonly name: string;
  readonly verdict: Verdict;
  readonly finding: string;
  /** What to do about it; empty when there is nothing to do. */
  readonly advice: string;
}

const check = (name: string, verdict: Verdict, finding: string, advice = ''): Check => ({
  name,
  verdict,
  finding,
  advice: verdict === 'ok' ? '' : advice,
});

/** `[6, 1]` of `6.1.0-18-amd64`; zeros where it cannot be read. */
export function kernelVersion(release: string): readonly [number, number] {
  const match = /^(\d+)\.(\d+)/.exec(release);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
}

export function atLeast(release: string, major: number, minor: number): boolean {
  const [a, b] = kernelVersion(release);
  return a > major || (a === major && b >= minor);
}

const NODE_MAJOR_MIN = 20;
/** One descriptor per open file of the mount, and some for the store. */
const OPEN_FILES_MIN = 4096;
/** Below this, a cache, a store and what is staged have no room to work. */
const FREE_BYTES_MIN = 1024 ** 3;

function checkNode({ nodeVersion }: Facts): Check {
  const major = Number(/^v?(\d+)/.exec(nodeVersion)?.[1] ?? 0);
  return check(
    'node',
    major >= NODE_MAJOR_MIN ? 'ok' : 'fail',
    nodeVersion,
    `install Node ${NODE_MAJOR_MIN} or later`,
  );
}

function checkAddon({ addonError }: Facts): Check {
  if (addonError === null) return check('addon', 'ok', 'loads');
  return check('addon', 'fail', addonError, "build it: 'npm run build:native' (needs make and a C compiler)");
}

function checkDevice({ fuseDevice }: Facts): Check {
  switch (fuseDevice) {
    case 'usable':
      return check('/dev/fuse', 'ok', 'can be opened');
    case 'missing':
      return check(
        '/dev/fuse',
        'fail',
        'is missing',
        "load the module: 'modprobe fuse'; in a container: '--device /dev/fuse'",
      );
    case 'denied':
      return check(
        '/dev/fuse',
        'fail',
        'may not be opened',
        "as root: 'chmod 666 /dev/fuse' (udev's default)",
      );
  }
}

function checkKernel({ kernelRelease }: Facts): Check {
  if (!atLeast(kernelRelease, 5, 4)) {
    return check('kernel', 'fail', `${kernelRelease}: FUSE is older than 7.31`, 'use Linux 5.4 or later');
  }
  const passthrough = atLeast(kernelRelease, 6, 9);
  return check(
    'kernel',
    'ok',
    `${kernelRelease}: FUSE 7.31 or later, passthrough ${passthrough ? 'is known' : 'is not (6.9)'}`,
  );
}

function checkPassthrough({ kernelRelease, uid, sysAdmin }: Facts): Check {
  if (!atLeast(kernelRelease, 6, 9)) {
    return check(
      'passthrough',
      'warn',
      `off: ${kernelRelease} has none`,
      'Linux 6.9 or later reads cached files faster',
    );
  }
  if (sysAdmin) return check('passthrough', 'ok', 'possible');
  const who = uid === 0 ? 'this root lacks CAP_SYS_ADMIN' : 'only root may use it';
  return check('passthrough', 'warn', `off: ${who}`, 'mount as root for the speed of the local disk');
}

function checkFusermount({ uid, sysAdmin, fusermount }: Facts): Check {
  if (uid === 0 && sysAdmin)
    return check('fusermount3', 'ok', fusermount?.path ?? 'not installed, and not needed as root');
  if (fusermount === null)
    return check('fusermount3', 'fail', 'is not installed', "as root: 'apt-get install fuse3'");
  if (fusermount.setuid) return check('fusermount3', 'ok', fusermount.path);
  return check(
    'fusermount3',
    'fail',
    `${fusermount.path} is not setuid root`,
    `as root: 'chmod u+s ${fusermount.path}'`,
  );
}

function checkPrivileges({ uid, sysAdmin, userAllowOther }: Facts): Check {
  if (uid === 0 && !sysAdmin) {
    return check(
      'privileges',
      'fail',
      'root without CAP_SYS_ADMIN cannot mount',
      "in a container: '--cap-add SYS_ADMIN'",
    );
  }
  if (uid === 0) return check('privileges', 'ok', 'root: other users may use the mount');
  if (userAllowOther) return check('privileges', 'ok', `user ${uid}, user_allow_other is set`);
  return check(
    'privileges',
    'ok',
    `user ${uid}: the mount is yours alone; allow_other needs 'user_allow_other' in /etc/fuse.conf`,
  );
}

function checkState({ state }: Facts): Check {
  const where = `${state.path} (${state.exists ? '' : 'not made yet, on '}${state.fsType})`;
  if (!state.writable)
    return check('state directory', 'fail', `${where} cannot be written`, 'choose another with --state DIR');
  return check('state directory', 'ok', where);
}

function checkSpace({ state }: Facts): Check {
  const finding = `${formatBytes(state.freeBytes)} free of ${formatBytes(state.totalBytes)}`;
  if (state.freeBytes < FREE_BYTES_MIN) {
    return check('disk space', 'warn', finding, 'free some, or choose another disk with --state DIR');
  }
  // Filesystems that make inodes as needed report none at all, not even used ones.
  if (state.freeInodes > 0 && state.freeInodes < 10_000) {
    return check(
      'disk space',
      'warn',
      `${finding}, ${state.freeInodes} inodes left`,
      'delete small files on that disk',
    );
  }
  return check('disk space', 'ok', finding);
}

function checkSharing({ state }: Facts): Check {
  const { reflink, hardLink } = state;
  if (reflink === null || hardLink === null) {
    return check('shared blocks', 'ok', 'could not be tried: the state directory does not exist yet');
  }
  if (reflink)
    return check('shared blocks', 'ok', `${state.fsType} has reflinks: cache and store share their blocks`);
  if (hardLink) {
    return check(
      'shared blocks',
      'ok',
      `${state.fsType} has hard links, no reflinks: files of one block are kept once`,
    );
  }
  return check(
    'shared blocks',
    'warn',
    `${state.fsType} has neither reflinks nor hard links`,
    'use xfs, btrfs or ext4 for the state',
  );
}

function checkOpenFiles({ openFilesMax }: Facts): Check {
  const verdict = openFilesMax >= OPEN_FILES_MIN ? 'ok' : 'warn';
  return check(
    'open files',
    verdict,
    `limit ${openFilesMax}`,
    `raise it: 'ulimit -Hn ${OPEN_FILES_MIN * 16}' or LimitNOFILE=`,
  );
}

function checkStale({ staleMounts }: Facts): Check {
  if (staleMounts.length === 0) return check('stale mounts', 'ok', 'none');
  const [first] = staleMounts;
  return check(
    'stale mounts',
    'warn',
    staleMounts.join(', '),
    `mount there again, or 'globalfs umount ${first}'`,
  );
}

/** The verdicts, in the order in which a reader would mend them. */
export function diagnose(facts: Facts): Check[] {
  return [
    checkNode,
    checkAddon,
    checkDevice,
    checkKernel,
    checkPrivileges,
    checkFusermount,
    checkPassthrough,
    checkState,
    checkSpace,
    checkSharing,
    checkOpenFiles,
    checkStale,
  ].map((run) => run(facts));
}
