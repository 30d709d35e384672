import { GfsError } from '../core/index.js';
import { type Hello, PROTOCOL_MAX, PROTOCOL_MIN } from './wire/index.js';

/**
 * The newest protocol that both sides speak. A build speaks its own and the one before.
 * @throws GfsError CONFIG, with the side that must be upgraded
 */
export function negotiateProtocol(hello: Pick<Hello, 'protocolMin' | 'protocolMax' | 'software'>): number {
  const { protocolMin, protocolMax, software } = hello;
  const protocol = Math.min(protocolMax, PROTOCOL_MAX);
  if (protocol >= protocolMin && protocol >= PROTOCOL_MIN) return protocol;
  const old = protocolMax < PROTOCOL_MIN ? 'mount' : 'coordinator';
  throw new GfsError(
    'CONFIG',
    `the mount (GlobalFS ${software}) speaks protocols ${protocolMin} to ${protocolMax}, ` +
      `the coordinator ${PROTOCOL_MIN} to ${PROTOCOL_MAX}: upgrade the ${old}`,
  );
}
