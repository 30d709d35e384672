import { GfsError } from '../../core/index.js';

/**
 * The two parts of `host:port` or `[::1]:port`; the port may be 0 where one listens.
 * @throws GfsError CONFIG
 */
export function hostAndPort(address: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    throw new GfsError('CONFIG', `not an address: '${address}'; write it as 'host:port' or '[::1]:port'`);
  }
  return { host, port };
}

/** The other way round. */
export const addressOf = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
