import type { Opcode } from '../../src/fuse/protocol/constants.js';
import { RequestReader } from '../../src/fuse/protocol/request.js';
import type { CLayout } from './layout.js';

/** What the header of a made request says; each value differs from the others. */
export const HEADER = { unique: 0x1234_5678_9abc, nodeid: 0x1_0000_0007, uid: 1001, gid: 1002, pid: 4242 };

/** Bytes of others before a made request, as of the request before it in the device's buffer. */
export const BYTES_BEFORE = 64;

/** One field of a request's payload: a struct by its C layout, or bytes as they are. */
export type Part = Buffer | string;

/** A request as the kernel would lay it into the device's buffer, with others' bytes around it. */
export function makeRequest(layout: CLayout, opcode: Opcode, ...parts: Part[]): RequestReader {
  const payload = Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(`${part}\0`, 'latin1') : part)),
  );
  const size = layout.sizeOf('fuse_in_header');
  const header = layout.encode('fuse_in_header', { len: size + payload.length, opcode, ...HEADER });
  const before = Buffer.alloc(BYTES_BEFORE, 0x5a);
  const reader = new RequestReader(Buffer.concat([before, header, payload, Buffer.alloc(64, 0x5a)]));
  reader.moveTo(before.length);
  return reader;
}
