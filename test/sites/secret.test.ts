import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { resolveSecret, type SecretRef } from '../../src/sites/index.js';

const SECRET = 'hunter2-hunter2';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'globalfs-secret-'));
});
afterEach(async () => {
  delete process.env.GLOBALFS_TEST_SECRET;
  await rm(folder, { recursive: true });
});

/** All that anybody could print of the error. */
async function failureOf(ref: SecretRef): Promise<string> {
  const thrown: unknown = await resolveSecret(ref, 'the key of site a').then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toMatchObject({ code: 'CONFIG' });
  return inspect(thrown, { depth: 10 });
}

describe('a secret', () => {
  test('comes from the environment, a file or a command, without the last newline', async () => {
    process.env.GLOBALFS_TEST_SECRET = SECRET;
    expect(await resolveSecret({ from: 'env', name: 'GLOBALFS_TEST_SECRET' }, 'x')).toBe(SECRET);
    const path = join(folder, 'secret');
    await writeFile(path, `${SECRET}\n`);
    expect(await resolveSecret({ from: 'file', path }, 'x')).toBe(SECRET);
    const command = `printf '%s\\n' "$(cat '${path}')"`;
    expect(await resolveSecret({ from: 'command', command }, 'x')).toBe(SECRET);
  });

  test('that is not there is an error that says what for, and where it was looked for', async () => {
    expect(await failureOf({ from: 'env', name: 'GLOBALFS_TEST_SECRET' })).toMatch(
      /the key of site a: environment variable GLOBALFS_TEST_SECRET is not set/,
    );
    expect(await failureOf({ from: 'file', path: '/nowhere/secret' })).toMatch(
      /file \/nowhere\/secret cannot be read \(ENOENT\)/,
    );
    expect(await failureOf({ from: 'command', command: 'exit 3' })).toMatch(/command 'exit 3' failed \(3\)/);
    expect(await failureOf({ from: 'command', command: 'true' })).toMatch(/is empty/);
  });

  test('is never in an error, nor is what a failing command printed', async () => {
    const path = join(folder, 'secret');
    await writeFile(path, `${SECRET}\nand more\n`);
    expect(await failureOf({ from: 'file', path })).not.toContain('hunter2');
    const told = await failureOf({ from: 'command', command: `cat '${path}'; cat '${path}' >&2; exit 1` });
    expect(told).not.toContain('hunter2');
  });
});
