import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { shell } from './run.js';

export interface CertificateFiles {
  /** The authority that signed it, PEM. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface CertificateOptions {
  /** Where it serves, for a server. */
  readonly address?: string;
  /** From now; negative: it has expired. */
  readonly days?: number;
}

const KEY = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';

/** An authority that exists for a test: `ca.pem` in a folder, and what it signed beside it. */
export class CertificateAuthority {
  readonly #folder: string;

  /** @param folder is made; none of an earlier authority may be there */
  static async make(folder: string, name = 'GlobalFS test authority'): Promise<CertificateAuthority> {
    await mkdir(folder, { recursive: true });
    await shell(`openssl req -x509 ${KEY} -days 2 -subj '/CN=${name}' -keyout ca.key -out ca.pem`, {
      cwd: folder,
    });
    return new CertificateAuthority(folder);
  }

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param name the common name; letters, digits, '.' and '-' */
  async issue(name: string, { address, days = 2 }: CertificateOptions = {}): Promise<CertificateFiles> {
    const extensions = address === undefined ? '' : `-extfile <(echo 'subjectAltName=IP:${address}')`;
    await shell(
      `
      openssl req -new ${KEY} -subj '/CN=${name}' -keyout ${name}.key -out ${name}.csr
      openssl x509 -req -days ${days} -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
        ${extensions} -out ${name}.pem
      `,
      { cwd: this.#folder },
    );
    return {
      caFile: join(this.#folder, 'ca.pem'),
      certFile: join(this.#folder, `${name}.pem`),
      keyFile: join(this.#folder, `${name}.key`),
    };
  }
}

/** A new authority, and a certificate of it for a server at an IP address, as PEM files in `directory`. */
export async function makeCertificate(directory: string, address = '127.0.0.1'): Promise<CertificateFiles> {
  const authority = await CertificateAuthority.make(directory);
  return await authority.issue('server', { address });
}

/** The contents of the files. */
export async function readCertificate(
  files: CertificateFiles,
): Promise<{ readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer }> {
  const [ca, cert, key] = await Promise.all([
    readFile(files.caFile),
    readFile(files.certFile),
    readFile(files.keyFile),
  ]);
  return { ca, cert, key };
}
