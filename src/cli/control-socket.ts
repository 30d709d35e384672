import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';

/** sun_path of sockaddr_un holds 108 bytes with the closing NUL (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;

export const CONTROL_SOCKET = 'control.sock';

/** A path that bind(2) and connect(2) take. It is good until `release`. */
export interface SocketPath {
  readonly path: string;
  release(): void;
}

/**
 * The control socket of a state directory. Where its path is too long for a socket address, it is reached
 * through a descriptor of the directory: /proc/self/fd/<n>/control.sock.
 */
export function controlSocketPath(stateDir: string): SocketPath {
  const path = join(stateDir, CONTROL_SOCKET);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return { path, release: () => undefined };
  const fd = openSync(stateDir, constants.O_RDONLY | constants.O_DIRECTORY);
  return { path: `/proc/self/fd/${fd}/${CONTROL_SOCKET}`, release: () => closeSync(fd) };
}
