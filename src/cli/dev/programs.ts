import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { problem } from '../problem.js';

/** Each program that a playground starts, and the Debian package that has it. */
const PROGRAMS: Readonly<Record<string, string>> = {
  etcd: 'etcd-server',
  'ceph-mon': 'ceph-mon',
  'ceph-osd': 'ceph-osd',
  ceph: 'ceph-common',
  monmaptool: 'ceph-base',
  'radosgw-admin': 'ceph-common',
  radosgw: 'radosgw',
};

function isInstalled(program: string, path: string): boolean {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false; // not in this folder
    }
  });
}

/** @throws GfsError CONFIG naming all that is missing, and the line that installs it */
export function requirePlaygroundPrograms(path = process.env.PATH ?? ''): void {
  const missing = Object.entries(PROGRAMS).filter(([program]) => !isInstalled(program, path));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(([, name]) => name))].join(' ');
  throw problem(
    'CONFIG',
    `a playground needs programs that are not installed: ${missing.map(([program]) => program).join(', ')}`,
    '',
    `as root, run: apt-get install -y --no-install-recommends ${packages}`,
  );
}
