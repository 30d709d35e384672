import { readFileSync } from 'node:fs';

/** package.json lies two folders above the sources and above the compiled output alike. */
export const VERSION = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
