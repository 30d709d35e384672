/**
 * What mounts and the coordinator say to each other: the messages, their bytes, and the ports of what
 * carries them. Knows no network; `../grpc` is one carrier, `MemoryNetwork` another.
 */
export { clientFrames, FRAME_BYTES_MAX, type FrameCodec, serverFrames } from './frame.js';
export { FramePacker } from './frame-packer.js';
export * from './memory-transport.js';
export * from './messages.js';
export type * from './transport.js';
