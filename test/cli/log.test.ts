import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LogFile } from '../../src/cli/log-file.js';
import { createProcessLogger, logLine } from '../../src/cli/winston-logger.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gfs-log-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const lines = (path: string): Record<string, unknown>[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('a log line', () => {
  const at = new Date('2026-01-02T03:04:05.678Z');

  test('is one JSON object: time, level, message, fields', () => {
    expect(logLine('warn', 'a\nb', { ino: 7, size: 2n ** 60n, error: new Error('why') }, at)).toBe(
      '{"time":"2026-01-02T03:04:05.678Z","level":"warn","message":"a\\nb","ino":7,"size":"1152921504606846976","error":"why"}',
    );
  });

  test('keeps its own time, level and message whatever the fields are called', () => {
    expect(JSON.parse(logLine('info', 'own', { message: 'theirs' }, at))).toMatchObject({
      level: 'info',
      message: 'own',
      field_message: 'theirs',
    });
  });
});

describe('the process logger', () => {
  test('writes what its level lets through, before the call returns', () => {
    const path = join(folder, 'log');
    const logger = createProcessLogger('info', path);
    logger.info('first', { a: 1 });
    logger.debug('not this');
    logger.error('second', { message: 'field' });
    expect(lines(path)).toMatchObject([
      { level: 'info', message: 'first', a: 1 },
      { level: 'error', message: 'second' },
    ]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('goes on in a new file after a rotation from outside', () => {
    const path = join(folder, 'log');
    const logger = createProcessLogger('info', path);
    logger.info('old');
    renameSync(path, `${path}.moved`);
    logger.reopen();
    logger.info('new');
    expect(lines(path)).toMatchObject([{ message: 'new' }]);
    expect(lines(`${path}.moved`)).toMatchObject([{ message: 'old' }]);
  });
});

test('a log file keeps within its bound, and keeps the latest lines', () => {
  const path = join(folder, 'log');
  const file = new LogFile(path, 100);
  for (let i = 0; i < 40; i++) file.write(`{"line":${i + 1000},"pad":"xx"}\n`);
  const names = readdirSync(folder).sort();
  expect(names).toEqual(['log', 'log.1', 'log.2', 'log.3', 'log.4']);
  for (const name of names) expect(statSync(join(folder, name)).size).toBeLessThanOrEqual(100);
  const numbers = [...names].reverse().flatMap((name) => lines(join(folder, name)).map(({ line }) => line));
  expect(numbers.at(-1)).toBe(1039);
  expect(numbers).toEqual([...numbers].sort((a, b) => Number(a) - Number(b)));
});
