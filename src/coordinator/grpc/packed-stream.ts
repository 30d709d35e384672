import { type FrameCodec, FramePacker } from '../wire/index.js';
import type { FrameStream } from './grpc-adapter.js';

/**
 * What one side may have sent without the other having taken it. A mount has at most some hundred requests
 * under way, and the largest answer is a page of a directory, 256 KiB: beyond this the other side does not
 * read any more, and everything for it would be kept in memory.
 */
export const BACKLOG_BYTES_MAX = 64 * 1024 * 1024;

/** Sends messages packed into frames, as long as the other side takes them. */
export class PackedStream<M> {
  readonly #stream: FrameStream;
  readonly #packer: FramePacker<M>;
  #backlogBytes = 0;
  #open = true;

  /** @param overflow called once, instead of sending what is beyond the bound; the stream is cut then */
  constructor(codec: FrameCodec<M>, stream: FrameStream, overflow: (backlogBytes: number) => void) {
    this.#stream = stream;
    this.#packer = new FramePacker(codec, (frame) => {
      if (!this.#open) return;
      // Not counting this frame: a single one that is larger than the bound may go.
      if (this.#backlogBytes > BACKLOG_BYTES_MAX) {
        this.#open = false;
        overflow(this.#backlogBytes);
        stream.cut();
        return;
      }
      this.#backlogBytes += frame.length;
      stream.write(frame, () => {
        this.#backlogBytes -= frame.length;
      });
    });
  }

  send(message: M): void {
    if (this.#open) this.#packer.send(message);
  }

  /** Ends the stream after what was sent. */
  close(): void {
    if (!this.#open) return;
    this.#packer.flush();
    this.stop();
    this.#stream.end();
  }

  /** Nothing is sent from now on. */
  stop(): void {
    this.#open = false;
  }
}
