import { resolve } from 'node:path';
import * as z from 'zod';
import { toGfsError } from '../../core/errors.js';
import { parseDurationMs } from '../quantities.js';
import { parseAddress } from './address.js';
import type { YamlPath } from './yaml-document.js';

/** PEM files: whom to trust, who we are, and our key. Absolute paths. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** What to do while something that is needed does not answer. */
export type Patience = { readonly kind: 'wait' } | { readonly kind: 'fail'; readonly afterMs: number };

/**
 * A field that is written as one word, such as `10s`; YAML makes a number of a word of digits.
 * @param parse throws for what it does not understand; its message is the user's
 */
export function word<T>(parse: (text: string) => T) {
  return z.union([z.string(), z.number()]).transform((value, context): T => {
    try {
      return parse(String(value));
    } catch (thrown) {
      context.addIssue({ code: 'custom', message: toGfsError(thrown).message });
      return z.NEVER;
    }
  });
}

/** @returns ms */
export const duration = (minMs: number, maxMs: number) =>
  word((text) => parseDurationMs(text, '')).refine((ms) => ms >= minMs && ms <= maxMs, {
    error: `use ${minMs / 1000}s to ${maxMs / 1000}s`,
  });

export const address = word((text) => parseAddress(text).text);

/** A name in keys, logs and commands: what DNS allows in a label, beginning with a letter. */
export const label = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, {
  error: 'use up to 63 of a-z, 0-9 and -, beginning with a letter',
});

export const path = (folder: string) =>
  z
    .string()
    .min(1, { error: 'is empty' })
    .transform((text) => resolve(folder, text));

export const tls = (folder: string) =>
  z.strictObject({ ca: path(folder), cert: path(folder), key: path(folder) });

/** Where `files` are named below `at`, for `checkReadable`. */
export function tlsPlaces(at: YamlPath, files: TlsFiles | undefined): [YamlPath, string][] {
  if (files === undefined) return [];
  return (['ca', 'cert', 'key'] as const).map((key) => [[...at, key], files[key]]);
}

/** Less than a heartbeat takes would fail calls on a healthy network; a day is for ever to a program. */
const PATIENCE_MS = { min: 1000, max: 86_400_000 } as const;

export const patience = word((text): Patience => {
  if (text === 'wait') return { kind: 'wait' };
  return { kind: 'fail', afterMs: parseDurationMs(text, "'wait', or a time") };
}).refine(
  (value) => value.kind === 'wait' || (value.afterMs >= PATIENCE_MS.min && value.afterMs <= PATIENCE_MS.max),
  { error: `use 'wait', or a time from ${PATIENCE_MS.min / 1000}s to 24h` },
);
