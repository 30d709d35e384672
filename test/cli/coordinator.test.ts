import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../../src/cli/dev/server-process.js';
import { LoggedProcess } from '../support/cluster/logged-process.js';
import { globalfs } from '../support/globalfs.js';
import { cli, projectDir } from '../support/mounted.js';
import { Reaper } from '../support/reaper.js';
import { shell } from '../support/run.js';

let reaper: Reaper;
let dir: string;
let address: string;

beforeEach(async () => {
  reaper = new Reaper();
  dir = mkdtempSync(join(tmpdir(), 'gfs-coordinator-'));
  reaper.directory(dir);
  const [port] = await freePorts(1);
  address = `localhost:${port}`;
});

afterEach(async () => {
  await reaper.finish();
});

function write(name: string, text: string): string {
  const file = join(dir, name);
  writeFileSync(file, text);
  return file;
}

const START_MS = 60_000;

/** @param more lines of coordinator.yaml */
async function startCoordinator(more = ''): Promise<LoggedProcess> {
  const listen = address.replace('localhost', '127.0.0.1');
  const text = `cluster: test\nlisten: ${listen}\nadvertise: ${address}\nstate: state\nstore: { kind: lmdb }\n${more}`;
  const args = [cli, 'coordinator', 'start', '--config', write('coordinator.yaml', text)];
  const started = await LoggedProcess.start({ file: process.execPath, args, reaper });
  await started.until(
    'the coordinator',
    () => Promise.resolve(started.log().includes('serves at')),
    START_MS,
  );
  return started;
}

describe('a coordinator', () => {
  test('says that it has no TLS, serves, has its state to itself, and ends in order', async () => {
    const coordinator = await startCoordinator();
    expect(coordinator.log()).toMatch(/no TLS is configured: every user of this machine/);
    const status = await globalfs(['status', '--coordinator', address, '-o', 'json']);
    expect(JSON.parse(status.stdout)).toMatchObject({
      cluster: { cluster: 'test', leader: { address, role: 'leader' }, store: { kind: 'lmdb' } },
    });
    const [port] = await freePorts(1);
    const text = readFileSync(join(dir, 'coordinator.yaml'), 'utf8').replaceAll(
      /localhost:\d+|127.0.0.1:\d+/g,
      `127.0.0.1:${port}`,
    );
    const second = await globalfs(['coordinator', 'start', '--config', write('second.yaml', text)]);
    expect(second).toMatchObject({ code: 5, stdout: '' });
    expect(second.stderr).toMatch(/in use by process \d+ \(globalfs coordinator start\)/);
    coordinator.signal('SIGTERM');
    expect(await coordinator.ended()).toBe(0);
    expect((await globalfs(['mounts', '--coordinator', address])).code).toBe(5);
  });

  test('with certificates as doc/CLUSTER.md makes them wants one of everybody', async () => {
    const doc = readFileSync(join(projectDir, 'doc/CLUSTER.md'), 'utf8');
    const [commands = ''] = /^openssl req -x509[^`]*/m.exec(doc) ?? [];
    await shell(commands.replaceAll('coordinator1.example.org', 'localhost'), { cwd: dir });
    const tls = 'tls: { ca: ca.pem, cert: coordinator1.pem, key: coordinator1.key }';
    await startCoordinator(tls);
    const config = write('globalfs.yaml', `coordinators: ["${address}"]\nsite: s\n${tls}`);
    expect((await globalfs(['mounts', '--config', config, '-o', 'json'])).stdout).toBe('[]\n');
    const stranger = await globalfs(['mounts', '--coordinator', address]);
    expect(stranger.code).not.toBe(0);
    expect(stranger.stderr).toMatch(/With TLS, name the certificates/);
  });
});

describe('a site', () => {
  test('is checked before it is registered, and what is wrong is said', async () => {
    await startCoordinator();
    const at = ['--coordinator', address];
    mkdirSync(join(dir, 'store'));
    const good = write('good.yaml', `role: backup\nstore: { kind: directory, path: ${dir}/store }`);
    const bad = write('bad.yaml', `store: { kind: directory, path: ${dir}/good.yaml }`);
    const refused = await globalfs(['site', 'register', 'lab', '--config', bad, ...at]);
    expect(refused.code).toBe(3);
    expect(refused.stdout).toMatch(/open +failed: .*\n +connect +not tried/);
    expect(refused.stderr).toMatch(/site lab is not registered: open failed/);
    expect((await globalfs(['site', 'show', 'lab', ...at])).code).toBe(3);

    const registered = await globalfs(['site', 'register', 'lab', '--config', good, ...at]);
    expect(registered).toMatchObject({ code: 0 });
    expect(registered.stdout).toMatch(/delete +ok/);
    expect((await globalfs(['site', 'register', 'lab', '--config', good, ...at])).code).toBe(0);
    const other = write('other.yaml', `role: primary\nstore: { kind: directory, path: ${dir}/store }`);
    expect((await globalfs(['site', 'register', 'lab', '--config', other, ...at])).stderr).toMatch(
      /registered already/,
    );

    expect((await globalfs(['site', 'drain', 'lab', ...at])).code).toBe(0);
    const [site] = JSON.parse((await globalfs(['site', 'list', '-o', 'json', ...at])).stdout) as unknown[];
    expect(site).toMatchObject({ spec: { name: 'lab', role: 'backup', status: 'draining' }, mounts: 0 });
    expect((await globalfs(['site', 'activate', 'lab', ...at])).code).toBe(0);
    expect((await globalfs(['site', 'remove', 'lab', ...at])).code).toBe(0);
    expect((await globalfs(['site', 'remove', 'lab', ...at])).code).toBe(3);
  });

  test("whose file is wrong is told where, with the line's text", async () => {
    const file = write('site.yaml', 'role: primary\nstore:\n  kind: s3\n  bukcet: b\n');
    const run = await globalfs(['site', 'register', 'lab', '--config', file, '--coordinator', address]);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain(`${file}:4:3: unknown key 'bukcet'; did you mean 'bucket'?`);
    expect(run.stderr).toMatch(/^ {2}4 \| {3}bukcet: b\n {2} {2}\| {3}\^{6}$/m);
  });
});
