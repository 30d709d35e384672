import { describe, expect, test } from '@jest/globals';
import { parseSiteConfig } from '../../src/cli/config/site-config.js';
import type { YamlProblem } from '../../src/cli/config/yaml-document.js';
import { GfsError } from '../../src/core/index.js';

const COMPLETE = `
role: burst
store:
  kind: s3
  endpoint: https://s3.example.org:9000/
  bucket: data
  prefix: team/a
  region: eu-1
  credentials:
    accessKeyId: { env: KEY_ID }
    secretAccessKey:
      file: /run/secrets/key
  caFile: /etc/ca.pem
`;

function failure(text: string, name = 'here'): { message: string; problems: YamlProblem[] } {
  try {
    parseSiteConfig(text, 'site.yaml', name);
  } catch (thrown) {
    if (thrown instanceof GfsError && thrown.code === 'CONFIG') {
      return { message: thrown.message, problems: (thrown.context.problems ?? []) as YamlProblem[] };
    }
    throw thrown;
  }
  throw new Error('the file was accepted');
}

describe("a site's file", () => {
  test('gives the specification, with what it leaves out filled in', () => {
    expect(parseSiteConfig(COMPLETE, 'site.yaml', 'cloud')).toEqual({
      name: 'cloud',
      role: 'burst',
      status: 'active',
      store: {
        kind: 's3',
        endpoint: 'https://s3.example.org:9000',
        bucket: 'data',
        prefix: 'team/a/',
        region: 'eu-1',
        pathStyle: true,
        credentials: {
          accessKeyId: { from: 'env', name: 'KEY_ID' },
          secretAccessKey: { from: 'file', path: '/run/secrets/key' },
        },
        caFile: '/etc/ca.pem',
      },
    });
    expect(parseSiteConfig('name: a\nstore: { kind: s3, bucket: data }', 'site.yaml').store).toEqual({
      kind: 's3',
      bucket: 'data',
      prefix: '',
      region: 'us-east-1',
      pathStyle: false,
    });
    expect(parseSiteConfig('store: { kind: directory, path: /srv/blocks }', 'site.yaml', 'a').store).toEqual({
      kind: 'directory',
      path: '/srv/blocks',
    });
  });

  test('with an unknown key is refused at that key, with the key that was meant', () => {
    const { message, problems } = failure(COMPLETE.replace('bucket:', 'bukcet:'));
    expect(message).toContain("site.yaml:6:3: unknown key 'bukcet'; did you mean 'bucket'?");
    expect(problems.find(({ text }) => text.includes('bukcet'))?.excerpt).toBe(
      '6 |   bukcet: data\n  |   ^^^^^^',
    );
    expect(message).toContain("'store.bucket' is missing");
  });

  test('with a value that is not one of the known ones is refused with them', () => {
    expect(failure(COMPLETE.replace('burst', 'bursts')).message).toBe(
      "site.yaml:2:7: 'role' cannot be \"bursts\"; did you mean 'burst'?",
    );
    expect(failure(COMPLETE.replace('kind: s3', 'kind: s4')).message).toMatch(
      /^site\.yaml:4:9: 'store\.kind' cannot be "s4"; did you mean 's3'\?$/,
    );
    expect(failure('store: { bucket: x }').message).toBe(
      "site.yaml:1:1: 'store.kind' is missing; use s3 or directory",
    );
  });

  test('with a relative path, a path in the endpoint, or a wrong type is refused at that value', () => {
    expect(failure('store: { kind: directory, path: blocks }').message).toMatch(
      /^site\.yaml:1:33: 'store\.path': must be an absolute path/,
    );
    expect(failure(COMPLETE.replace(':9000/', '/bucket')).message).toMatch(
      /^site\.yaml:5:13: .*scheme, host/,
    );
    expect(failure(COMPLETE.replace('bucket: data', 'bucket: 12')).message).toMatch(
      /^site\.yaml:6:11: 'store\.bucket' must be text/,
    );
  });

  test('that holds a secret itself is refused without showing it', () => {
    const plain = COMPLETE.replace(/secretAccessKey:\n.*\n/, 'secretAccessKey: hunter2hunter2\n');
    const { message, problems } = failure(plain);
    expect(message).toMatch(
      /^site\.yaml:11:\d+: 'store\.credentials\.secretAccessKey' must be a group of keys/,
    );
    expect(JSON.stringify(problems)).not.toContain('hunter2');
    const two = COMPLETE.replace('{ env: KEY_ID }', '{ env: A, file: /b }');
    expect(failure(two).message).toMatch(/exactly one of env, file or command/);
  });

  test('that is no YAML, or has a key twice, or is empty, is refused with the place', () => {
    expect(failure('role: primary\nrole: burst\n').message).toMatch(/^site\.yaml:2:1: .*unique/);
    expect(failure('store: {kind: s3\n').message).toMatch(/^site\.yaml:\d+:\d+: /);
    expect(failure('').message).toBe('site.yaml:1:1: the file is empty');
    expect(failure('- a').message).toBe('site.yaml:1:1: the file must be a group of keys');
  });

  test('has one name: of the file, or of the command', () => {
    expect(failure('name: a\nstore: { kind: directory, path: /a }', 'b').message).toMatch(
      /^site\.yaml:1:7: the file's name is 'a', but the command says 'b'/,
    );
    expect(() => parseSiteConfig('store: { kind: directory, path: /a }', 'site.yaml')).toThrow(/has no name/);
    expect(failure('store: { kind: directory, path: /a }', 'A b').message).toMatch(/not a site's name/);
  });
});
