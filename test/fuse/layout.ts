import { compileC } from '../support/compile.js';
import { run } from '../support/run.js';

interface Field {
  readonly offset: number;
  readonly bytes: number;
}

/** What the C compiler makes of this machine's `<linux/fuse.h>`: sizes, offsets, constants. */
export class CLayout {
  readonly constants = new Map<string, bigint>();
  /** Bytes of a directory entry by the bytes of its name: without and with attributes. */
  readonly entryBytes = new Map<number, { readonly plain: number; readonly plus: number }>();
  readonly #sizes = new Map<string, number>();
  readonly #structs = new Map<string, Map<string, Field>>();

  static async load(): Promise<CLayout> {
    const { stdout } = await run(await compileC('test/fuse/layout.c'), []);
    const layout = new CLayout();
    for (const line of stdout.trim().split('\n')) layout.#learn(line.split(' '));
    return layout;
  }

  #learn([kind = '', ...words]: string[]): void {
    const [name = '', second = '', third = '', fourth = ''] = words;
    if (kind === 'size') this.#sizes.set(name, Number(second));
    else if (kind === 'const') this.constants.set(name, BigInt(second));
    else if (kind === 'dirent')
      this.entryBytes.set(Number(name), { plain: Number(second), plus: Number(third) });
    else if (kind === 'field') {
      const fields = this.#structs.get(name) ?? new Map<string, Field>();
      this.#structs.set(name, fields.set(second, { offset: Number(third), bytes: Number(fourth) }));
    } else throw new Error(`layout.c printed: ${kind} ${words.join(' ')}`);
  }

  sizeOf(struct: string): number {
    const size = this.#sizes.get(struct);
    if (size === undefined) throw new Error(`layout.c does not print the size of ${struct}`);
    return size;
  }

  offsetOf(struct: string, field: string): number {
    return this.#field(struct, field).offset;
  }

  /** Every integer field of a struct that lies at `at`. Nested structs are left out. */
  decode(struct: string, bytes: Buffer, at = 0): Record<string, bigint> {
    const values: Record<string, bigint> = {};
    for (const [name, field] of this.#fields(struct)) {
      const start = at + field.offset;
      if (field.bytes === 8) values[name] = bytes.readBigUInt64LE(start);
      else if (field.bytes === 4) values[name] = BigInt(bytes.readUInt32LE(start));
      else if (field.bytes === 2) values[name] = BigInt(bytes.readUInt16LE(start));
    }
    return values;
  }

  /** A struct with these fields; the bytes between and around them are 0xA5, which nobody may read. */
  encode(struct: string, values: Record<string, number | bigint>): Buffer {
    const bytes = Buffer.alloc(this.sizeOf(struct), 0xa5);
    for (const [name, value] of Object.entries(values)) {
      const { offset, bytes: width } = this.#field(struct, name);
      if (width === 8) bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), offset);
      else bytes.writeUInt32LE(Number(value), offset);
    }
    return bytes;
  }

  #fields(struct: string): Map<string, Field> {
    const fields = this.#structs.get(struct);
    if (fields === undefined) throw new Error(`layout.c does not print the fields of ${struct}`);
    return fields;
  }

  #field(struct: string, name: string): Field {
    const field = this.#fields(struct).get(name);
    if (field === undefined) throw new Error(`layout.c does not print ${struct}.${name}`);
    return field;
  }
}
