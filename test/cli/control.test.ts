import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync, existsSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlClient } from '../../src/cli/control-client.js';
import { serveControl, type ControlServer } from '../../src/cli/control-server.js';
import type { FileInfo, MountControl, MountStatus } from '../../src/cli/mount-service.js';
import { GfsError } from '../../src/core/errors.js';
import { silentLogger } from '../../src/core/logger.js';

const STATUS: MountStatus = {
  version: '0.1.0',
  pid: 1,
  mountpoint: '/globalfs',
  stateDir: '/state',
  uptimeMs: 5,
  readOnly: false,
  protocol: '7.45',
  passthrough: { enabled: true, reason: 'kernel and privileges allow it' },
  inodes: 1,
  cache: { bytes: 0, maxBytes: 1 },
  staged: { bytes: 0, files: 0 },
  store: { path: '/state/blocks' },
  requests: { LOOKUP: 2 ** 40 },
};

/** A mount whose answers show what it was asked. */
const mount: MountControl = {
  status: () => Promise.resolve(STATUS),
  info: (path) => {
    if (path === 'missing') return Promise.reject(new GfsError('ENOENT', 'no such file; missing'));
    if (path === 'bug') return Promise.reject(new TypeError('x is undefined'));
    return Promise.resolve({ ino: 1, path, size: path.length } as unknown as FileInfo);
  },
  fsck: ({ repair }) => Promise.resolve({ problems: [], counts: { repair: Number(repair) } }),
  gc: (options) =>
    Promise.resolve({
      unreferenced: { objects: options.graceMs, bytes: 0 },
      deleted: { objects: Number(options.delete), bytes: 0 },
    }),
};

function post(socketPath: string, path: string, body: string, method = 'POST'): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, method }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve([response.statusCode ?? 0, text]));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

describe.each([
  ['a short state directory', 'state'],
  [
    'one whose path is too long for a socket address',
    join(...Array.from({ length: 12 }, () => 'd'.repeat(20))),
  ],
])('the control socket in %s', (_, name) => {
  let base: string;
  let stateDir: string;
  let server: ControlServer;

  beforeEach(async () => {
    base = mkdtempSync(join(tmpdir(), 'gfs-control-'));
    stateDir = join(base, name);
    mkdirSync(stateDir, { recursive: true });
    writeFileSync(join(stateDir, 'control.sock'), 'left over by a crash');
    server = await serveControl(stateDir, mount, silentLogger);
  });

  afterEach(async () => {
    await server.close();
    rmSync(base, { recursive: true });
  });

  test('carries every call and its answer', async () => {
    const client = new ControlClient(stateDir);
    expect(await client.status()).toEqual(STATUS);
    expect(await client.fsck({ repair: true })).toEqual({ problems: [], counts: { repair: 1 } });
    expect(await client.gc({ delete: true, graceMs: 60 })).toMatchObject({
      unreferenced: { objects: 60 },
      deleted: { objects: 1 },
    });
  });

  test('carries any byte of a path', async () => {
    const path = Array.from({ length: 255 }, (_, i) => String.fromCharCode(i + 1)).join('');
    expect(await new ControlClient(stateDir).info(path)).toMatchObject({ path, size: 255 });
  });

  test('carries an error as what it was', async () => {
    const client = new ControlClient(stateDir);
    await expect(client.info('missing')).rejects.toMatchObject({
      code: 'ENOENT',
      message: 'no such file; missing',
    });
    await expect(client.info('bug')).rejects.toMatchObject({ code: 'EIO' });
  });

  test('is for its owner only, and gone after close', async () => {
    const path = join(stateDir, 'control.sock');
    expect(statSync(path).isSocket()).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await server.close();
    expect(existsSync(path)).toBe(false);
    await expect(new ControlClient(stateDir).status()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    server = await serveControl(stateDir, mount, silentLogger);
  });
});

describe('the control server', () => {
  let stateDir: string;
  let server: ControlServer;
  const socket = (): string => join(stateDir, 'control.sock');

  beforeEach(async () => {
    stateDir = mkdtempSync(join(tmpdir(), 'gfs-control-'));
    server = await serveControl(stateDir, mount, silentLogger);
  });

  afterEach(async () => {
    await server.close();
    rmSync(stateDir, { recursive: true });
  });

  test.each([
    ['/v1/info', '{}', 'EINVAL'],
    ['/v1/info', '{"path":7}', 'EINVAL'],
    ['/v1/info', 'no json', 'EINVAL'],
    ['/v1/info', '7', 'EINVAL'],
    ['/v1/fsck', '{"repair":"yes"}', 'EINVAL'],
    ['/v1/info', `{"path":"${'x'.repeat(70_000)}"}`, 'E2BIG'],
    ['/v2/status', '{}', 'ENOSYS'],
    ['/toString', '{}', 'ENOSYS'],
  ])('refuses %s with a body like %.20s', async (path, body, code) => {
    const [status, text] = await post(socket(), path, body);
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ error: { code } });
  });

  test('takes no GET, so that nothing is done by looking', async () => {
    expect((await post(socket(), '/v1/status', '', 'GET'))[0]).toBe(400);
  });
});
