/**
 * The FUSE driver: the protocol's bytes (`protocol/`), the device, and POSIX operations on top of the
 * coordinator's client and the content cache. Imports core, namespace, transfer and coordinator's client.
 */
export { mountFuse, type MountRequest, unmountFuse } from './mount-point.js';
export { MAX_IO_BYTES } from './device.js';
export { recover, recoverShared } from './recovery.js';
export { FuseSession, type SessionStatistics } from './session.js';
