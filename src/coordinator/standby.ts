import { GfsError } from '../core/index.js';
import type { AdminApi } from './admin-api.js';
import { negotiateProtocol } from './handshake.js';
import type { Refused, ServerStream, StreamHandler } from './wire/index.js';

/** What a mount that comes to a standby is told: where the leader is, when that is known. */
export function refuseAsStandby(stream: ServerStream, leader: () => string | undefined): StreamHandler {
  let refused = false;
  return {
    message: (message) => {
      if (refused) return;
      refused = true;
      stream.send(message.kind === 'hello' ? refusalOf(message, leader()) : outOfOrder);
      stream.close();
    },
    closed: () => undefined,
  };
}

const outOfOrder: Refused = {
  kind: 'refused',
  code: 'EINVAL',
  message: 'the first message of a stream must be hello',
};

/** What a protocol does not allow will not be better at the leader. */
function refusalOf(hello: Parameters<typeof negotiateProtocol>[0], leader: string | undefined): Refused {
  try {
    negotiateProtocol(hello);
  } catch (thrown) {
    const { code, message } = thrown as GfsError;
    return { kind: 'refused', code, message };
  }
  const message = leader === undefined ? 'no coordinator leads now' : `the leader is ${leader}`;
  const refusal = { kind: 'refused', code: 'UNAVAILABLE', message } as const;
  return leader === undefined ? refusal : { ...refusal, leader };
}

/** Administration is the leader's: a standby says where it is. */
export function standbyAdmin(leader: () => string | undefined): AdminApi {
  const refuse = (): Promise<never> => {
    const address = leader();
    const where = address === undefined ? 'no coordinator leads now' : `the leader is ${address}`;
    const context = address === undefined ? {} : { leader: address };
    return Promise.reject(
      new GfsError('UNAVAILABLE', `this coordinator is a standby; ${where}`, { context }),
    );
  };
  return {
    status: refuse,
    mounts: refuse,
    leases: refuse,
    where: refuse,
    registerSite: refuse,
    setSiteStatus: refuse,
    removeSite: refuse,
  };
}
