/** A response of HTTP/1.1, whole. */
export interface HttpResponse {
  readonly status: number;
  /** Names in lower case; several of one name joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Whether the connection may carry another request. */
  readonly reusable: boolean;
}

/** What came is no HTTP/1.1, or more than a store ever sends. */
export class ProtocolError extends Error {}

/** Also the most that a head may have; S3's have below 2 KiB, and a 4 KiB object fits behind it. */
const SCRATCH_BYTES = 16 * 1024;

/** Above this, whoever answers is no object store: our largest objects are manifests of some 100 MiB. */
const BODY_BYTES_MAX = 2 ** 31;

const NOTHING = Buffer.alloc(0);

interface Head {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly keepAlive: boolean;
}

type State =
  | { readonly at: 'head' }
  /** The length is known: reads go right into `body`. */
  | { readonly at: 'body'; readonly head: Head; readonly body: Buffer; filled: number }
  /** `left` of the chunk that is being read; 0 before a line: the break after a chunk, or a chunk's size. */
  | {
      readonly at: 'chunks';
      readonly head: Head;
      readonly parts: Buffer[];
      total: number;
      left: number;
      breakDue: boolean;
    }
  | { readonly at: 'trailers'; readonly head: Head; readonly body: Buffer }
  /** The body ends with the connection. */
  | { readonly at: 'rest'; readonly head: Head; readonly parts: Buffer[]; total: number };

/**
 * Reads responses of HTTP/1.1 (RFC 9112), one after the other, without I/O: the connection reads into
 * `target()` and tells how much by `filled(count)`. A body of known length is thus read by the kernel to
 * where it stays; Node's own client copies it three times, which at 4 MiB is 3 ms of CPU.
 */
export class ResponseParser {
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #start = 0;
  #end = 0;
  #state: State = { at: 'head' };
  #bodyless = false;

  /** A request goes out. @param bodyless its response has a head only (HEAD) */
  begin(bodyless: boolean): void {
    this.#state = { at: 'head' };
    this.#bodyless = bodyless;
    this.#start = 0;
    this.#end = 0;
  }

  /** Whether nothing of the response has come yet. */
  get untouched(): boolean {
    return this.#state.at === 'head' && this.#end === 0;
  }

  /** Where the next bytes are to be put; never empty before the response is complete. */
  target(): Buffer {
    const state = this.#state;
    if (state.at === 'body' && state.filled < state.body.length) return state.body.subarray(state.filled);
    return this.#scratch.subarray(this.#end);
  }

  /**
   * `count` bytes were put into `target()`. Returns the response when that completed it.
   * @throws ProtocolError
   */
  filled(count: number): HttpResponse | undefined {
    const state = this.#state;
    if (state.at === 'body') {
      state.filled += count;
      return state.filled === state.body.length ? this.#done(state.head, state.body) : undefined;
    }
    this.#end += count;
    const response = this.#parse();
    if (response === undefined) this.#compact();
    return response;
  }

  /** The connection has ended. @throws Error unless that is what ends the response */
  ended(): HttpResponse {
    const state = this.#state;
    if (state.at !== 'rest') throw new Error('the connection ended in the midst of a response');
    return this.#done(state.head, Buffer.concat(state.parts, state.total));
  }

  #parse(): HttpResponse | undefined {
    for (;;) {
      const state = this.#state;
      switch (state.at) {
        case 'head': {
          const end = this.#scratch.subarray(0, this.#end).indexOf('\r\n\r\n', this.#start, 'latin1');
          if (end < 0) return undefined;
          const head = parseHead(this.#scratch.toString('latin1', this.#start, end));
          this.#start = end + 4;
          if (head.status >= 200) {
            this.#state = this.#bodyAfter(head);
            if (this.#state.at === 'body') return this.filled(this.#takeInto(this.#state.body));
          } // else 100 Continue and its like: the response proper follows
          break;
        }
        case 'chunks': {
          if (state.left > 0) {
            const taken = this.#takePart(state, state.left);
            if (taken === 0) return undefined;
            state.left -= taken;
            state.breakDue = state.left === 0;
            break;
          }
          const line = this.#takeLine();
          if (line === undefined) return undefined;
          this.#chunkLine(state, line);
          break;
        }
        case 'trailers': {
          const line = this.#takeLine();
          if (line === undefined) return undefined;
          if (line === '') return this.#done(state.head, state.body);
          break;
        }
        case 'rest':
          if (this.#takePart(state, BODY_BYTES_MAX) === 0) return undefined;
          break;
        case 'body':
          return undefined;
      }
    }
  }

  #bodyAfter(head: Head): State {
    const { status, headers } = head;
    if (this.#bodyless || status === 204 || status === 304)
      return { at: 'body', head, body: NOTHING, filled: 0 };
    const coding = headers['transfer-encoding'];
    if (coding !== undefined) {
      if (coding.toLowerCase() !== 'chunked') throw new ProtocolError(`unknown transfer encoding: ${coding}`);
      return { at: 'chunks', head, parts: [], total: 0, left: 0, breakDue: false };
    }
    const announced = headers['content-length'];
    if (announced === undefined) return { at: 'rest', head, parts: [], total: 0 };
    const length = /^\d+$/.test(announced) ? Number(announced) : NaN;
    if (!(length <= BODY_BYTES_MAX)) throw new ProtocolError(`not a length of ours: ${announced}`);
    // Slow: the memory is not a slice of a pool that one kept byte would keep whole.
    return { at: 'body', head, body: length === 0 ? NOTHING : Buffer.allocUnsafeSlow(length), filled: 0 };
  }

  #done({ status, headers, keepAlive }: Head, body: Buffer): HttpResponse {
    // What follows a response that nobody asked for would be taken for the next one's.
    const reusable = keepAlive && this.#start === this.#end && this.#state.at !== 'rest';
    this.begin(false);
    return { status, headers, body, reusable };
  }

  /** Moves bytes from the scratch buffer to the body's begin; returns how many. */
  #takeInto(body: Buffer): number {
    const count = this.#scratch.copy(body, 0, this.#start, this.#end);
    this.#start += count;
    return count;
  }

  /** Takes up to `atMost` bytes of the scratch buffer to the body's parts; returns how many. */
  #takePart(state: { parts: Buffer[]; total: number }, atMost: number): number {
    const count = Math.min(atMost, this.#end - this.#start);
    if (count === 0) return 0;
    state.parts.push(Buffer.from(this.#scratch.subarray(this.#start, this.#start + count)));
    state.total += count;
    if (state.total > BODY_BYTES_MAX) throw new ProtocolError('the response does not end');
    this.#start += count;
    return count;
  }

  #chunkLine(state: State & { at: 'chunks' }, line: string): void {
    if (state.breakDue) {
      if (line !== '') throw new ProtocolError('a chunk is longer than it says');
      state.breakDue = false;
      return;
    }
    state.left = parseChunkSize(line);
    if (state.left > 0) return;
    this.#state = { at: 'trailers', head: state.head, body: Buffer.concat(state.parts, state.total) };
  }

  #takeLine(): string | undefined {
    const end = this.#scratch.subarray(0, this.#end).indexOf('\r\n', this.#start, 'latin1');
    if (end < 0) return undefined;
    const line = this.#scratch.toString('latin1', this.#start, end);
    this.#start = end + 2;
    return line;
  }

  #compact(): void {
    if (this.#start > 0) {
      this.#scratch.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    if (this.#end === SCRATCH_BYTES) throw new ProtocolError(`a head of more than ${SCRATCH_BYTES} bytes`);
  }
}

function parseHead(text: string): Head {
  const [first = '', ...lines] = text.split('\r\n');
  const [, minor, status] = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(first) ?? [];
  if (status === undefined)
    throw new ProtocolError(`no HTTP response: ${JSON.stringify(first.slice(0, 60))}`);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new ProtocolError(`no header: ${JSON.stringify(line.slice(0, 60))}`);
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers[name];
    headers[name] = before === undefined ? value : `${before}, ${value}`;
  }
  const connection = headers.connection?.toLowerCase();
  const keepAlive = minor === '1' ? connection !== 'close' : connection === 'keep-alive';
  return { status: Number(status), headers, keepAlive };
}

function parseChunkSize(line: string): number {
  const [, digits] = /^([0-9a-f]{1,8})(?:\s*;.*)?$/i.exec(line) ?? [];
  if (digits === undefined)
    throw new ProtocolError(`not a chunk's size: ${JSON.stringify(line.slice(0, 60))}`);
  return parseInt(digits, 16);
}
