import { readFileSync } from 'node:fs';
import type { TlsFiles } from './config/fields.js';

/** Certificates and a key, as PEM. */
export interface TlsMaterial {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** @throws Error ENOENT, EACCES; the configuration's check has read them before */
export function tlsOf({ ca, cert, key }: TlsFiles): TlsMaterial {
  return { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
}
