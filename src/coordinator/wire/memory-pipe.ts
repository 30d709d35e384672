import type { FrameCodec } from './frame.js';
import { FramePacker } from './frame-packer.js';

/**
 * One direction of a connection in memory. What is sent in one turn of the event loop arrives together, in
 * order, in a later turn, having been bytes in between. While stalled nothing arrives.
 */
export class MemoryPipe<M> {
  readonly #schedule: (run: () => void) => void;
  readonly #packer: FramePacker<M>;
  /** What is under way, in order. */
  readonly #underWay: (() => void)[] = [];
  /** How many of them have had their time. */
  #due = 0;
  #stalled = false;

  /** @param schedule calls back when what is sent now has had its time, in a later turn */
  constructor(codec: FrameCodec<M>, schedule: (run: () => void) => void, deliver: (message: M) => void) {
    this.#schedule = schedule;
    this.#packer = new FramePacker(codec, (frame) => {
      this.#put(() => {
        for (const message of codec.decode(frame)) deliver(message);
      });
    });
  }

  send(message: M): void {
    this.#packer.send(message);
  }

  /** Something that happens at the other end, after what was sent before. */
  call(run: () => void): void {
    this.#packer.flush();
    this.#put(run);
  }

  set stalled(stalled: boolean) {
    const resumed = this.#stalled && !stalled;
    this.#stalled = stalled;
    if (resumed) this.#schedule(() => this.#arrive());
  }

  #put(run: () => void): void {
    this.#underWay.push(run);
    this.#schedule(() => {
      this.#due++;
      this.#arrive();
    });
  }

  #arrive(): void {
    while (this.#due > 0 && !this.#stalled) {
      this.#due--;
      this.#underWay.shift()?.();
    }
  }
}
