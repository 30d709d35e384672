import { type ByteReader, WireType } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';
import type { ValueType } from './value-types.js';

/** One row of a message's table: a field's number, and how its value travels. `T` is the property's type. */
export interface Field<T> {
  readonly number: number;
  readonly tag: number;
  /** What the property is when nothing came; undefined: it is not there. */
  readonly initial: () => T | undefined;
  /** The property is there even when it is undefined. */
  readonly present: boolean;
  /** Without the field the message is malformed. */
  readonly required: boolean;
  readonly write: (out: ByteWriter, value: T) => void;
  /** @param before what the property is by now: a list is added to */
  readonly read: (input: ByteReader, before: unknown) => T;
  /** A list of numbers may also come one by one; this reads one. */
  readonly single?: { readonly tag: number; readonly read: (input: ByteReader, before: unknown) => T };
}

export const tagOf = (number: number, wire: number): number => number * 8 + wire;

/** A property that is always there. Its default is not sent, as proto3 has it. */
export function one<T>(number: number, type: ValueType<T>): Field<T> {
  const { absent, wire } = type;
  const tag = tagOf(number, wire);
  const write = (out: ByteWriter, value: T): void => {
    if (value === absent) return;
    out.varint(tag);
    type.write(out, value);
  };
  const required = absent === undefined;
  return { number, tag, initial: () => absent, present: true, required, write, read: type.read };
}

/** A property that may be missing: `optional` in proto3. */
export function maybe<T>(number: number, type: ValueType<T>): Field<T | undefined> {
  const tag = tagOf(number, type.wire);
  const write = (out: ByteWriter, value: T | undefined): void => {
    if (value === undefined) return;
    out.varint(tag);
    type.write(out, value);
  };
  return { number, tag, initial: () => undefined, present: false, required: false, write, read: type.read };
}

/** `optional` in proto3, for a property that is always there, undefined or not. */
export const orUndefined = <T>(number: number, type: ValueType<T>): Field<T | undefined> => ({
  ...maybe(number, type),
  present: true,
});

/** A list. */
export function many<T>(number: number, type: ValueType<T>): Field<readonly T[]> {
  const field = type.wire === WireType.delimited ? listOf(number, type) : packedListOf(number, type);
  return { ...field, initial: () => [], present: true, required: false };
}

/** A list that is undefined rather than empty. */
export function some<T>(number: number, type: ValueType<T>): Field<readonly T[] | undefined> {
  const { write, ...rest } = many(number, type);
  return {
    ...rest,
    initial: () => undefined,
    present: false,
    write: (out, values) => {
      if (values !== undefined) write(out, values);
    },
  };
}

type ListField<T> = Omit<Field<readonly T[]>, 'initial' | 'present' | 'required'>;

function listOf<T>(number: number, type: ValueType<T>): ListField<T> {
  const tag = tagOf(number, type.wire);
  return {
    number,
    tag,
    write: (out, values) => {
      for (const value of values) {
        out.varint(tag);
        type.write(out, value);
      }
    },
    read: (input, before) => added(before, type.read(input)),
  };
}

/** Numbers one after the other under one length. */
function packedListOf<T>(number: number, type: ValueType<T>): ListField<T> {
  const tag = tagOf(number, WireType.delimited);
  let lengthBytes = 1;
  return {
    number,
    tag,
    write: (out, values) => {
      if (values.length === 0) return;
      out.varint(tag);
      const start = out.open(lengthBytes);
      for (const value of values) type.write(out, value);
      lengthBytes = out.close(start, lengthBytes);
    },
    read: (input, before) => {
      const list = (before ?? []) as T[];
      const outer = input.enter();
      while (input.at < input.end) list.push(type.read(input));
      input.leave(outer);
      return list;
    },
    single: {
      tag: tagOf(number, type.wire),
      read: (input, before) => added(before, type.read(input)),
    },
  };
}

function added<T>(before: unknown, value: T): T[] {
  if (before === undefined) return [value];
  (before as T[]).push(value);
  return before as T[];
}
