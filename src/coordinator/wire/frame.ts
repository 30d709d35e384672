import { ByteReader, malformed, WireType } from './byte-reader.js';
import { ByteWriter } from './byte-writer.js';
import { clientMessage } from './client-table.js';
import type { ClientMessage, ServerMessage } from './messages.js';
import type { UnionType } from './message-types.js';
import { serverMessage } from './server-table.js';

/**
 * The most that one frame may be. The largest message is the `hello` of a mount whose kernel knows many
 * inodes: about 10 bytes for each claim, so 64 MiB are 6 million of them.
 */
export const FRAME_BYTES_MAX = 64 * 1024 * 1024;

/**
 * A frame that has grown to this is sent, and the next message begins another one: the other side begins to
 * work, and neither holds more. gRPC takes 50 µs for a frame, to make this much takes 2 ms (create replies).
 */
export const FRAME_FULL_BYTES = 256 * 1024;

/** `repeated ... messages = 1` of ClientFrame and ServerFrame. */
const MESSAGES_TAG = (1 << 3) | WireType.delimited;

/** How the messages of one direction travel. */
export class FrameCodec<M> {
  readonly #type: UnionType<M>;

  constructor(type: UnionType<M>) {
    this.#type = type;
  }

  /**
   * Adds a message to the frame in `out`.
   * @throws GfsError EINVAL, and the frame is as before
   */
  append(out: ByteWriter, message: M): void {
    const before = out.length;
    try {
      out.varint(MESSAGES_TAG);
      this.#type.write(out, message);
    } catch (thrown) {
      out.truncate(before);
      throw thrown;
    }
  }

  /**
   * The messages of a frame, in order. Those of kinds that this version does not know are left out.
   * @throws GfsError CORRUPT, EINVAL, ENAMETOOLONG
   */
  decode(frame: Uint8Array): M[] {
    if (frame.length > FRAME_BYTES_MAX) throw malformed(`a frame of ${frame.length} bytes`);
    const messages: M[] = [];
    const input = new ByteReader(frame);
    while (input.at < input.end) {
      const tag = input.varint();
      if (tag !== MESSAGES_TAG) {
        input.skip(tag);
        continue;
      }
      const message = this.#type.readKnown(input);
      if (message !== undefined) messages.push(message);
    }
    return messages;
  }

  encode(messages: readonly M[]): Uint8Array {
    const out = new ByteWriter(FRAME_BYTES_MAX);
    for (const message of messages) this.append(out, message);
    return out.take();
  }
}

export const clientFrames = new FrameCodec<ClientMessage>(clientMessage);
export const serverFrames = new FrameCodec<ServerMessage>(serverMessage);
