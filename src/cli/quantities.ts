import { problem } from './problem.js';

const UNITS = ['B', 'K', 'M', 'G', 'T', 'P'] as const;

/**
 * Bytes from `20G`, `1.5T`, `512MiB` or `4096`; units are powers of 1024.
 * @param setting the option's name, for the error
 * @throws GfsError CONFIG
 */
export function parseBytes(text: string, setting: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([KMGTP])(?:i?B)?|B)?$/i.exec(text.trim());
  const exponent = UNITS.indexOf((match?.[2] ?? 'B').toUpperCase() as (typeof UNITS)[number]);
  const bytes = Math.floor(Number(match?.[1] ?? NaN) * 1024 ** exponent);
  if (!Number.isSafeInteger(bytes)) {
    throw problem('CONFIG', `not a size: '${text}'`, setting, "write it like '20G' or '512M'");
  }
  return bytes;
}

export type CacheSize = { kind: 'bytes'; bytes: number } | { kind: 'percent'; percent: number };

/** `20G`, or `10%` of the disk that holds the state directory. */
export function parseCacheSize(text: string, setting: string): CacheSize {
  const match = /^(\d+(?:\.\d+)?)\s*%$/.exec(text.trim());
  if (match === null) {
    const bytes = parseBytes(text, setting);
    if (bytes > 0) return { kind: 'bytes', bytes };
    throw problem('CONFIG', 'a cache needs room', setting, "write it like '20G' or '10%'");
  }
  const percent = Number(match[1]);
  if (percent > 0 && percent <= 100) return { kind: 'percent', percent };
  throw problem('CONFIG', `not a share of the disk: '${text}'`, setting, "write it like '10%'");
}

const DURATION_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds from `500ms`, `5s`, `10m`, `1h`, `1d`; a bare number counts seconds. */
export function parseDurationMs(text: string, setting: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/.exec(text.trim());
  if (match === null) {
    throw problem('CONFIG', `not a duration: '${text}'`, setting, "write it like '5s', '10m' or '1h'");
  }
  return Math.round(Number(match[1]) * DURATION_MS[(match[2] ?? 's') as keyof typeof DURATION_MS]);
}

/** `1.5 GiB`, three digits at the most. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  if (unit === 0) return `${bytes} B`;
  return `${value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}iB`;
}

/** `3d 4h`, `4m 10s`, `12s`: the two largest units. */
export function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  return parts
    .slice(first, first + 2)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}
