import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { GfsError, toGfsError } from '../../core/index.js';

/** PEM: whose certificates are good on the other side, and what is shown to it. */
export interface TlsMaterial {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/**
 * Reads the three files, and sees that they fit together.
 * @throws GfsError CONFIG
 */
export async function readTlsMaterial(
  files: Readonly<Record<keyof TlsMaterial, string>>,
): Promise<TlsMaterial> {
  const [ca, cert, key] = await Promise.all([read(files.ca), read(files.cert), read(files.key)]);
  try {
    createSecureContext({ ca, cert, key });
  } catch (thrown) {
    const { ca: a, cert: c, key: k } = files;
    const { message } = toGfsError(thrown);
    throw new GfsError('CONFIG', `certificates cannot be used (${a}, ${c}, ${k}): ${message}`, {
      cause: thrown,
    });
  }
  return { ca, cert, key };
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (thrown) {
    throw new GfsError('CONFIG', `cannot read ${path}: ${toGfsError(thrown).message}`, { cause: thrown });
  }
}
