import { BlockList, isIP, isIPv6 } from 'node:net';
import { problem } from '../problem.js';

/** Where a server listens or is reached. */
export interface Address {
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** As it is written: `host:port`, `[::1]:port`. */
  readonly text: string;
}

const PORT_MAX = 65_535;

/**
 * @param setting what it was given for, for the error
 * @throws GfsError CONFIG
 */
export function parseAddress(text: string, setting = ''): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text.trim());
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  const ipv6 = match?.[1] !== undefined;
  if (host === undefined || port < 1 || port > PORT_MAX || (ipv6 && !isIPv6(host))) {
    throw problem('CONFIG', `not an address: '${text}'`, setting, "write it as 'host:port' or '[::1]:port'");
  }
  return { host, port, text: ipv6 ? `[${host}]:${port}` : `${host}:${port}` };
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether only processes of this machine reach it (RFC 6761: `localhost` and what is below it is loopback). */
export function isLoopback({ host }: Address): boolean {
  const version = isIP(host);
  if (version === 0) return host === 'localhost' || host.endsWith('.localhost');
  return LOOPBACK.check(host, version === 4 ? 'ipv4' : 'ipv6');
}

/** Stands for all addresses of the machine: to be listened on, but nobody can connect to it from elsewhere. */
export const isWildcard = ({ host }: Address): boolean => host === '0.0.0.0' || /^[0:]+$/.test(host);
