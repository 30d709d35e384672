import { join } from 'node:path';
import { shell } from './run.js';

export interface CertificateFiles {
  /** The authority that signed it, PEM. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** A new authority, and a certificate of it for a server at an IP address, as PEM files in `directory`. */
export async function makeCertificate(directory: string, address = '127.0.0.1'): Promise<CertificateFiles> {
  await shell(
    `
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
      -subj '/CN=GlobalFS test authority' -keyout ca.key -out ca.pem
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
      -subj '/CN=${address}' -keyout server.key -out server.csr
    openssl x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
      -extfile <(echo 'subjectAltName=IP:${address}') -out server.pem
    `,
    { cwd: directory },
  );
  return {
    caFile: join(directory, 'ca.pem'),
    certFile: join(directory, 'server.pem'),
    keyFile: join(directory, 'server.key'),
  };
}
