import type { LocalMount } from './local-mounts.js';
import { propertyLines, tableLines } from './output.js';
import { formatBytes, formatDuration } from './quantities.js';

/** Mounts of this machine in lines for people. */

const HEAD = [
  'MOUNTPOINT',
  'STATE',
  'PID',
  'UP',
  'INODES',
  'CACHED',
  'STAGED',
  'PASSTHROUGH',
  'STATE DIRECTORY',
];
/** Beside these with `wide`. */
const WIDE_HEAD = ['VERSION', 'PROTOCOL', 'CACHE BOUND', 'SITE', 'SESSION'];

function row(mount: LocalMount, wide: boolean): string[] {
  if (mount.state !== 'serving') {
    const unknown = Array<string>(6).fill('-');
    const more = wide ? WIDE_HEAD.map(() => '-') : [];
    return [mount.mountpoint, mount.state, ...unknown, mount.stateDir, ...more];
  }
  const cells = [
    mount.mountpoint ?? '-',
    mount.state,
    String(mount.pid),
    formatDuration(mount.uptimeMs),
    String(mount.inodes),
    formatBytes(mount.cache.bytes),
    formatBytes(mount.staged.bytes),
    mount.passthrough.enabled ? 'on' : 'off',
    mount.stateDir,
  ];
  if (!wide) return cells;
  const { cluster } = mount;
  return [
    ...cells,
    mount.version,
    mount.protocol ?? '-',
    formatBytes(mount.cache.maxBytes),
    cluster?.site ?? '-',
    cluster?.session ?? '-',
  ];
}

export function localTable(mounts: readonly LocalMount[], wide: boolean): string[] {
  const head = wide ? [...HEAD, ...WIDE_HEAD] : HEAD;
  return tableLines(
    head,
    mounts.map((mount) => row(mount, wide)),
  );
}

/** Everything about one mount. */
export function localDetails(mount: LocalMount): string[] {
  if (mount.state !== 'serving') {
    return propertyLines([
      ['mount point', mount.mountpoint],
      ['state', mount.state],
      ['why', mount.error],
      ['state directory', mount.stateDir],
    ]);
  }
  const { cache, staged, passthrough, requests, cluster } = mount;
  const busiest = Object.entries(requests).sort(([, a], [, b]) => b - a);
  const membership: [string, string][] =
    cluster === undefined
      ? []
      : [
          ['site', `${cluster.site}, as ${cluster.member}`],
          ['coordinators', cluster.coordinators.join(', ')],
          ['session', `${cluster.session ?? 'none'}, ${cluster.connected ? 'connected' : 'not connected'}`],
        ];
  return propertyLines([
    ['mount point', mount.mountpoint ?? '-'],
    ['state', mount.readOnly ? 'serving, read-only' : 'serving'],
    ['version', mount.version],
    ['process', String(mount.pid)],
    ['up', formatDuration(mount.uptimeMs)],
    ...membership,
    ['FUSE protocol', mount.protocol ?? '-'],
    ['passthrough', `${passthrough.enabled ? 'on' : 'off'} (${passthrough.reason})`],
    ['inodes', String(mount.inodes)],
    ['cached', `${formatBytes(cache.bytes)} of ${formatBytes(cache.maxBytes)}`],
    ['staged', `${formatBytes(staged.bytes)}, ${staged.files} files`],
    ['store', mount.store.path],
    ['state directory', mount.stateDir],
    ['requests', busiest.map(([opcode, count]) => `${opcode} ${count}`).join(', ') || 'none'],
  ]);
}
