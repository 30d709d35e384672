import { GfsError } from '../../core/index.js';
import { type ByteReader, malformed, WireType } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';
import { type Field, one, tagOf } from './field-types.js';
import type { ValueType } from './value-types.js';

/** `map<string, ...>`: each entry is a message of key (1) and value (2). */
export function table<T>(
  number: number,
  key: ValueType<string>,
  value: ValueType<T>,
): Field<Readonly<Record<string, T>>> {
  const entry = message<{ key: string; value: T }>({ key: one(1, key), value: one(2, value) });
  const tag = tagOf(number, WireType.delimited);
  return {
    number,
    tag,
    initial: () => ({}),
    present: true,
    required: false,
    write: (out, values) => {
      for (const [key, value] of Object.entries(values)) {
        out.varint(tag);
        entry.write(out, { key, value });
      }
    },
    read: (input, before) => {
      const { key, value } = entry.read(input);
      const values = before as Record<string, T>;
      values[key] = value;
      return values;
    },
  };
}

/** The table of a message: all properties, each with its field. A missing or wrong one is a type error. */
export type Rows<M> = { readonly [K in keyof M]-?: Field<M[K]> };

/** The fields of a message, without what is around them. */
interface Body<M> {
  readonly writeFields: (out: ByteWriter, value: M) => void;
  /** Reads to the reader's end. */
  readonly readFields: (input: ByteReader) => M;
}

/** A message: by itself a body, as the value of a field its length and its body. */
export type MessageType<M> = ValueType<M> & Body<M>;

function messageType<M>({ writeFields, readFields }: Body<M>): MessageType<M> {
  let lengthBytes = 1;
  const write = (out: ByteWriter, value: M): void => {
    const start = out.open(lengthBytes);
    writeFields(out, value);
    lengthBytes = out.close(start, lengthBytes);
  };
  const read = (input: ByteReader): M => {
    const outer = input.enter();
    const value = readFields(input);
    input.leave(outer);
    return value;
  };
  return { wire: WireType.delimited, write, read, absent: undefined, writeFields, readFields };
}

interface Row {
  readonly key: string;
  readonly field: Field<unknown>;
}

/** A message by its table. */
export const message = <M extends object>(fields: Rows<M>): MessageType<M> => typeByTable<M>({}, fields);

/** @param constant what it always is, and does not travel: the tag of a union's member */
function typeByTable<M extends object>(constant: Partial<M>, fields: object): MessageType<M> {
  const rows = Object.entries(fields).map(([key, field]): Row => ({ key, field: field as Field<unknown> }));
  const byNumber: Row[] = [];
  for (const row of rows) byNumber[row.field.number] = row;
  const required = rows.filter(({ field }) => field.required);
  /**
   * What every message begins as: a copy of this, so that setting a property adds none. (Adding them one by
   * one takes V8 1 µs for each: measured with Node 20.) Lists and maps are made new for each message.
   */
  const template: Record<string, unknown> = { ...constant };
  for (const { key, field } of rows) if (field.present) template[key] = field.initial();
  const fresh = rows.filter(({ field }) => typeof field.initial() === 'object');

  const writeFields = (out: ByteWriter, value: M): void => {
    for (let i = 0; i < rows.length; i++) {
      const { key, field } = rows[i] as Row;
      field.write(out, (value as Record<string, unknown>)[key]);
    }
  };

  const readFields = (input: ByteReader): M => {
    const result = { ...template };
    for (const { key, field } of fresh) result[key] = field.initial();
    while (input.at < input.end) {
      const tag = input.varint();
      const row = byNumber[Math.floor(tag / 8)];
      if (row === undefined) input.skip(tag);
      else if (tag === row.field.tag) result[row.key] = row.field.read(input, result[row.key]);
      else if (tag === row.field.single?.tag) result[row.key] = row.field.single.read(input, result[row.key]);
      else input.skip(tag);
    }
    for (const { key } of required) {
      if (result[key] !== undefined) continue;
      throw malformed(`no ${key} in a message of ${rows.map((row) => row.key).join(', ')}`);
    }
    return result as M;
  };

  return messageType({ writeFields, readFields });
}

/** The members of a union by their word: the number of the field in the `oneof`, and the table. */
export type Members<U, Tag extends keyof U> = {
  readonly [Word in U[Tag] & string]: readonly [
    number: number,
    fields: Rows<Omit<Extract<U, Record<Tag, Word>>, Tag>>,
  ];
};

/** A union as the value of a field. */
export interface UnionType<U> extends ValueType<U>, Body<U> {
  /** Undefined for a member that this version does not know. */
  readonly readKnown: (input: ByteReader) => U | undefined;
}

/** A message with one `oneof`, for a union that is told apart by `tag`. */
export function union<U extends object, Tag extends keyof U & string>(
  tag: Tag,
  members: Members<U, Tag>,
): UnionType<U> {
  interface Member {
    readonly tag: number;
    readonly type: MessageType<U>;
  }
  const byWord: Record<string, Member> = {};
  const byNumber: Member[] = [];
  for (const [word, entry] of Object.entries(members)) {
    const [number, fields] = entry as readonly [number, object];
    const type = typeByTable<U>({ [tag]: word } as Partial<U>, fields);
    const member = { tag: tagOf(number, WireType.delimited), type };
    byWord[word] = member;
    byNumber[number] = member;
  }

  const writeFields = (out: ByteWriter, value: U): void => {
    const word = value[tag] as string;
    const member = byWord[word];
    if (member === undefined) throw new GfsError('EINVAL', `no message: ${tag} is ${word}`);
    out.varint(member.tag);
    member.type.write(out, value);
  };

  const readAny = (input: ByteReader): U | undefined => {
    let value: U | undefined;
    while (input.at < input.end) {
      const fieldTag = input.varint();
      const member = byNumber[Math.floor(fieldTag / 8)];
      if (member?.tag === fieldTag) value = member.type.read(input);
      else input.skip(fieldTag);
    }
    return value;
  };

  const readFields = (input: ByteReader): U => {
    const value = readAny(input);
    if (value === undefined) throw malformed(`none of ${Object.keys(members).join(', ')}`);
    return value;
  };

  const readKnown = (input: ByteReader): U | undefined => {
    const outer = input.enter();
    const value = readAny(input);
    input.leave(outer);
    return value;
  };

  return { ...messageType({ writeFields, readFields }), readKnown };
}
