import { write } from 'node:fs';
import { errnoOf, native, type NativeServer, toGfsError } from '../core/index.js';
import { NotifyCode, OUT_HEADER_BYTES, REQUEST_ROOM_BYTES } from './protocol/constants.js';
import { ReplyWriter } from './protocol/reply.js';
import { RequestReader } from './protocol/request.js';

/** Largest payload of one READ or WRITE: the kernel's own limit (256 pages of 4 KiB). */
export const MAX_IO_BYTES = 1024 * 1024;

/** Room for three requests of the largest size, or thousands of small ones, in one batch. */
const BATCH_BYTES = 4 * MAX_IO_BYTES;
const BATCH_REQUESTS_MAX = 1024;

/**
 * How long to look for the next request before sleeping. A caller that waits for its reply asks again
 * within about 10 µs; a sleep and a wake-up cost both sides more than that (bench/RESULTS.md).
 */
const SPIN_MICROS = 20;

/** `-1` in a NOTIFY_INVAL_INODE: attributes only, cached data stays. */
const ATTRIBUTES_ONLY = -1n;

/** The descriptor of /dev/fuse: requests in, replies and notifications out. */
export class FuseDevice {
  readonly request: RequestReader;
  readonly reply = new ReplyWriter(MAX_IO_BYTES + REQUEST_ROOM_BYTES);
  readonly batch = Buffer.allocUnsafe(BATCH_BYTES);
  readonly fd: number;
  readonly #offsets = new Uint32Array(BATCH_REQUESTS_MAX + 1);
  #server: NativeServer | undefined;
  #end: (() => void) | undefined;

  constructor(fd: number) {
    this.fd = fd;
    this.request = new RequestReader(this.batch);
  }

  /**
   * Calls `handle` for each request, in order, with `request` moved to it. Resolves after the unmount.
   * @throws GfsError EIO when the descriptor fails
   */
  async serve(handle: (request: RequestReader) => void): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const onBatch = (count: number): void => {
        for (let i = 0; i < count; i++) {
          this.request.moveTo(this.#offsets[i] ?? 0);
          handle(this.request);
        }
      };
      this.#end = resolve;
      const onEnd = (errno: number): void => {
        this.#server = undefined;
        if (errno === 0) resolve();
        else reject(toGfsError(new Error(`reading /dev/fuse failed with errno ${errno}`)));
      };
      const room = MAX_IO_BYTES + REQUEST_ROOM_BYTES;
      this.#server = native.fuseServe(this.fd, this.batch, this.#offsets, room, SPIN_MICROS, onBatch, onEnd);
    });
  }

  /** Serves no more, though the filesystem may still be mounted: `serve` resolves. */
  stop(): void {
    this.#server?.stop();
    this.#server = undefined;
    this.#end?.();
  }

  /**
   * Sends what `reply` holds; false when nobody takes it: the request was interrupted (ENOENT) or the mount
   * is gone (ENODEV, ECONNABORTED). What the reply hands over must then be taken back.
   */
  send(): boolean {
    this.reply.end();
    return native.fuseReply(this.fd, this.reply.bytes, this.reply.length) === 0;
  }

  sendOk(unique: number): void {
    this.reply.begin(unique, 0);
    this.send();
  }

  sendErrno(unique: number, errno: number): void {
    this.reply.begin(unique, -errno);
    this.send();
  }

  sendError(unique: number, thrown: unknown): void {
    this.sendErrno(unique, errnoOf(toGfsError(thrown).code));
  }

  /** Sends a reply whose payload is `data`, without copying it. */
  sendData(unique: number, data: Uint8Array, length: number): void {
    this.reply.begin(unique, 0);
    this.reply.end(length);
    native.fuseReplyData(this.fd, this.reply.bytes, OUT_HEADER_BYTES, data, length);
  }

  /**
   * Replies with bytes of a file, if they are in the page cache.
   * @returns bytes sent, or a negative errno: then no reply was sent (EAGAIN: read it in a thread)
   */
  sendFromFile(unique: number, fd: number, offset: number, length: number): number {
    this.reply.begin(unique, 0);
    return native.fuseReplyFromFile(this.fd, this.reply.bytes.subarray(8, 16), fd, offset, length);
  }

  /** The kernel drops an inode's cached attributes, and with `data` its cached pages. */
  notifyInvalInode(ino: number, data: boolean): Promise<void> {
    const message = this.#notification(NotifyCode.INVAL_INODE, 24);
    message.writeBigUInt64LE(BigInt(ino), 16);
    message.writeBigInt64LE(data ? 0n : ATTRIBUTES_ONLY, 24);
    message.writeBigInt64LE(0n, 32);
    return this.#notify(message);
  }

  /** The kernel forgets what it knows of a name, or that there is none. */
  notifyInvalEntry(parent: number, name: string): Promise<void> {
    const message = this.#notification(NotifyCode.INVAL_ENTRY, 16 + name.length + 1);
    message.writeBigUInt64LE(BigInt(parent), 16);
    message.writeUInt32LE(name.length, 24);
    message.write(name, 32, 'latin1');
    return this.#notify(message);
  }

  /** Like `notifyInvalEntry`, and tells those who watch the name (inotify) that it was deleted. */
  notifyDelete(parent: number, child: number, name: string): Promise<void> {
    const message = this.#notification(NotifyCode.DELETE, 24 + name.length + 1);
    message.writeBigUInt64LE(BigInt(parent), 16);
    message.writeBigUInt64LE(BigInt(child), 24);
    message.writeUInt32LE(name.length, 32);
    message.write(name, 40, 'latin1');
    return this.#notify(message);
  }

  /** Every name that the kernel cached is asked for again (protocol 7.44). */
  notifyNewEpoch(): Promise<void> {
    return this.#notify(this.#notification(NotifyCode.INC_EPOCH, 0));
  }

  #notification(code: NotifyCode, payloadBytes: number): Buffer {
    const message = Buffer.alloc(OUT_HEADER_BYTES + payloadBytes);
    message.writeUInt32LE(message.length, 0);
    message.writeInt32LE(code, 4);
    return message;
  }

  /**
   * Written from a thread of the pool: the kernel may take an inode's lock that is held by somebody who
   * waits for a reply of ours (linux/fs/fuse/dev.c, fuse_notify), so this thread must stay free to give it.
   */
  #notify(message: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      write(this.fd, message, (thrown) => {
        // ENOENT: the kernel does not know the inode or name; ENODEV: unmounted. Nothing is left to forget.
        if (thrown === null || thrown.code === 'ENOENT' || thrown.code === 'ENODEV') resolve();
        else reject(toGfsError(thrown));
      });
    });
  }
}
