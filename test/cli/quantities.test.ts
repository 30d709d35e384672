import { describe, expect, test } from '@jest/globals';
import {
  formatBytes,
  formatDuration,
  parseBytes,
  parseCacheSize,
  parseDurationMs,
} from '../../src/cli/quantities.js';

describe('sizes', () => {
  test.each([
    ['0', 0],
    ['4096', 4096],
    ['4096B', 4096],
    ['1k', 1024],
    ['20G', 20 * 1024 ** 3],
    ['20GiB', 20 * 1024 ** 3],
    ['1.5T', 1.5 * 1024 ** 4],
    [' 7 MB ', 7 * 1024 ** 2],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseBytes(text, '--x')).toBe(bytes);
  });

  test.each(['', 'G', '-1', '1X', '1e9', '10 %', '9999999P', '1G2'])("'%s' is no size", (text) => {
    expect(() => parseBytes(text, '--x')).toThrow(/not a size.*--x/);
  });

  test('a cache is given in bytes or as a share of the disk', () => {
    expect(parseCacheSize('2G', '--x')).toEqual({ kind: 'bytes', bytes: 2 * 1024 ** 3 });
    expect(parseCacheSize('12.5%', '--x')).toEqual({ kind: 'percent', percent: 12.5 });
    for (const text of ['0', '0%', '101%', '%']) expect(() => parseCacheSize(text, '--x')).toThrow('--x');
  });

  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [252 * 1024 ** 3, '252 GiB'],
    [2 ** 53, '8.0 PiB'],
  ])('%d bytes are written %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe('durations', () => {
  test.each([
    ['5', 5000],
    ['5s', 5000],
    ['250ms', 250],
    ['1.5m', 90_000],
    ['1h', 3_600_000],
    ['2d', 172_800_000],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDurationMs(text, '--x')).toBe(ms);
  });

  test.each(['', 's', '-1s', '5 weeks', '1h30m'])("'%s' is no duration", (text) => {
    expect(() => parseDurationMs(text, '--x')).toThrow(/not a duration/);
  });

  test.each([
    [0, '0s'],
    [999, '0s'],
    [12_000, '12s'],
    [250_000, '4m 10s'],
    [3_600_000, '1h 0m'],
    [273_600_000, '3d 4h'],
  ])('%d ms are written %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});
