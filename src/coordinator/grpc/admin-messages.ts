import type { GfsErrorCode } from '../../core/index.js';
import { maybe, one } from '../wire/field-types.js';
import { message, type MessageType, union } from '../wire/message-types.js';
import { ByteReader } from '../wire/byte-reader.js';
import { ByteWriter } from '../wire/byte-writer.js';
import { FRAME_BYTES_MAX } from '../wire/index.js';
import { bool, text } from '../wire/value-types.js';
import { errorCode } from '../wire/word-types.js';

/** A method of AdminApi, and the JSON array of its arguments. */
export interface AdminRequest {
  readonly method: string;
  readonly json: string;
}

export type AdminReply =
  | { readonly kind: 'answer'; readonly json: string }
  | {
      readonly kind: 'failure';
      readonly code: GfsErrorCode;
      readonly message: string;
      readonly retryable: boolean;
      /** Ask there: this coordinator does not lead. */
      readonly leader?: string;
    };

const adminRequest = message<AdminRequest>({ method: one(1, text), json: one(2, text) });

const adminReply = union<AdminReply, 'kind'>('kind', {
  answer: [1, { json: one(1, text) }],
  failure: [
    2,
    { code: one(1, errorCode), message: one(2, text), retryable: one(3, bool), leader: maybe(4, text) },
  ],
});

type Body<M> = Pick<MessageType<M>, 'writeFields' | 'readFields'>;

function encode<M>(type: Body<M>, value: M): Uint8Array {
  const out = new ByteWriter(FRAME_BYTES_MAX);
  type.writeFields(out, value);
  return out.take();
}

export const encodeAdminRequest = (request: AdminRequest): Uint8Array => encode(adminRequest, request);
export const encodeAdminReply = (reply: AdminReply): Uint8Array => encode(adminReply, reply);
/** @throws GfsError CORRUPT */
export const decodeAdminRequest = (bytes: Uint8Array): AdminRequest =>
  adminRequest.readFields(new ByteReader(bytes));
/** @throws GfsError CORRUPT */
export const decodeAdminReply = (bytes: Uint8Array): AdminReply =>
  adminReply.readFields(new ByteReader(bytes));
