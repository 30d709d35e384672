import { AdminClient, readTlsMaterial } from '../coordinator/grpc/index.js';
import type { AdminDialer } from './admin-connection.js';
import type { TlsFiles } from './config/fields.js';

/** A person waits: a coordinator that is there answers in milliseconds, a frozen one must not hold up its standby. */
const ANSWER_MS = 5000;

/**
 * Reaches coordinators over gRPC.
 * @throws GfsError CONFIG for certificates that cannot be used
 */
export async function dialAdmin(files: TlsFiles | undefined): Promise<AdminDialer> {
  const tls = files === undefined ? {} : { tls: await readTlsMaterial(files) };
  return (address) => new AdminClient({ address, withinMs: ANSWER_MS, ...tls });
}
