import { ByteWriter } from './byte-writer.js';
import { FRAME_BYTES_MAX, FRAME_FULL_BYTES, type FrameCodec } from './frame.js';

/**
 * Packs what is sent in one turn of the event loop into one frame. The turn ends with `setImmediate`: by then
 * all requests of one batch of the kernel's, or all replies to one frame, have been sent, those that took a
 * few promises too.
 */
export class FramePacker<M> {
  readonly #codec: FrameCodec<M>;
  readonly #write: (frame: Uint8Array) => void;
  readonly #out = new ByteWriter(FRAME_BYTES_MAX);
  #scheduled = false;

  /** @param write is given each frame, which is then its own */
  constructor(codec: FrameCodec<M>, write: (frame: Uint8Array) => void) {
    this.#codec = codec;
    this.#write = write;
  }

  /** @throws GfsError EINVAL for a message that does not fit the wire; nothing of it is sent */
  send(message: M): void {
    const before = this.#out.length;
    this.#codec.append(this.#out, message);
    if (before > 0 && this.#out.length > FRAME_FULL_BYTES) {
      // Large as it is now, it might not be taken on the other side: what was before goes first.
      this.#out.truncate(before);
      this.flush();
      this.#codec.append(this.#out, message);
    }
    if (this.#out.length >= FRAME_FULL_BYTES) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.flush();
      });
    }
  }

  /** Sends what there is now. */
  flush(): void {
    if (this.#out.length > 0) this.#write(this.#out.take());
  }
}
