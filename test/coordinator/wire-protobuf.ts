import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import type { Ino } from '../../src/core/index.js';
import { decodeInode, encodeInode, type InodeRecord } from '../../src/namespace/index.js';

/**
 * The wire according to protobufjs and globalfs.proto: what the project's own codec is compared with. Between
 * its messages and ours it goes by the names in the .proto alone.
 */
const proto = new URL('../../src/coordinator/proto/globalfs.proto', import.meta.url);
const root = protobuf.loadSync(fileURLToPath(proto)).resolveAll();
const typeNamed = (name: string): protobuf.Type => root.lookupType(`globalfs.v1.${name}`);

type Plain = Record<string, unknown>;
type Frame = 'ClientFrame' | 'ServerFrame';

export const encodeByProtobuf = (frame: Frame, messages: readonly object[]): Uint8Array =>
  writeByProtobuf(frame, { messages });

export const decodeByProtobuf = (frame: Frame, bytes: Uint8Array): unknown[] =>
  (readByProtobuf(frame, bytes) as { messages: unknown[] }).messages;

/** @param name of the message in the .proto */
export function writeByProtobuf(name: string, value: object): Uint8Array {
  const type = typeNamed(name);
  return type.encode(type.fromObject(toPlain(type, value))).finish();
}

export function readByProtobuf(name: string, bytes: Uint8Array): unknown {
  const type = typeNamed(name);
  return fromMessage(type, type.decode(bytes));
}

/** The numbers of an enum of the .proto by our words for them. */
export function wordsOf(name: string): Map<string, number> {
  const { values } = root.lookupEnum(`globalfs.v1.${name}`);
  return new Map(Object.entries(values).map(([key, number]) => [key.slice(prefixOf(name).length), number]));
}

/** `SiteRole` has values that begin with `SITE_ROLE_`. */
const prefixOf = (enumName: string): string =>
  `${enumName.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()}_`;
const wordOf = (key: string): string => key.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();

/** The `oneof` that makes a message a union; `optional` makes others, whose names begin with `_`. */
const unionOf = (type: protobuf.Type): protobuf.OneOf | undefined =>
  type.oneofsArray.find(({ name }) => !name.startsWith('_'));

function toPlain(type: protobuf.Type, value: object): Plain {
  if (type.name === 'Inode') {
    const record = value as InodeRecord;
    return { ino: String(record.ino), record: Buffer.from(encodeInode(record)) };
  }
  const union = unionOf(type);
  if (union !== undefined) {
    const word = (value as Plain)[union.name];
    const field = union.fieldsArray.find(({ name }) => wordOf(name) === word);
    if (field === undefined) throw new Error(`${type.name} has no ${String(word)}`);
    return { [field.name]: toPlain(field.resolvedType as protobuf.Type, value) };
  }
  const plain: Plain = {};
  for (const field of type.fieldsArray) {
    const property = (value as Plain)[field.name];
    if (property === undefined) continue;
    if (field.map) {
      plain[field.name] = Object.fromEntries(
        Object.entries(property as Plain).map(([key, each]) => [key, toScalar(field, each)]),
      );
    } else if (field.repeated) {
      plain[field.name] = (property as unknown[]).map((each) => toScalar(field, each));
    } else plain[field.name] = toScalar(field, property);
  }
  return plain;
}

function toScalar(field: protobuf.Field, value: unknown): unknown {
  const { resolvedType, type, name } = field;
  if (resolvedType instanceof protobuf.Type) return toPlain(resolvedType, value as object);
  if (resolvedType instanceof protobuf.Enum) {
    const key = (value as string).replace('-', '_').toUpperCase();
    return resolvedType.values[prefixOf(resolvedType.name) + key];
  }
  if (type === 'bytes') {
    return typeof value === 'string' ? Buffer.from(value, name === 'hash' ? 'hex' : 'latin1') : value;
  }
  return type === 'uint64' || type === 'sfixed64' ? String(value) : value;
}

function fromMessage(type: protobuf.Type, message: protobuf.Message): unknown {
  const values = message as unknown as Plain;
  if (type.name === 'Inode') {
    return decodeInode(Number(String(values.ino)) as Ino, values.record as Uint8Array);
  }
  const union = unionOf(type);
  if (union !== undefined) {
    const field = union.fieldsArray.find(({ name }) => Object.hasOwn(values, name));
    if (field === undefined) throw new Error(`an empty ${type.name}`);
    const member = fromMessage(field.resolvedType as protobuf.Type, values[field.name] as protobuf.Message);
    return { [union.name]: wordOf(field.name), ...(member as object) };
  }
  const result: Plain = {};
  for (const field of type.fieldsArray) {
    if (field.partOf !== null && !Object.hasOwn(values, field.name)) continue;
    const value = values[field.name];
    if (field.map) {
      result[field.name] = Object.fromEntries(
        Object.entries(value as Plain).map(([key, each]) => [key, fromScalar(field, each)]),
      );
    } else if (!field.repeated) result[field.name] = fromScalar(field, value);
    else if ((value as unknown[]).length > 0 || field.name !== 'sources') {
      result[field.name] = (value as unknown[]).map((each) => fromScalar(field, each));
    }
  }
  return result;
}

function fromScalar(field: protobuf.Field, value: unknown): unknown {
  const { resolvedType, type, name } = field;
  if (resolvedType instanceof protobuf.Type) return fromMessage(resolvedType, value as protobuf.Message);
  if (resolvedType instanceof protobuf.Enum) {
    const key = (resolvedType.valuesById[value as number] as string).slice(
      prefixOf(resolvedType.name).length,
    );
    return resolvedType.name === 'ErrorCode' ? key : key.replace('_', '-').toLowerCase();
  }
  if (type === 'bytes') {
    if (name === 'value') return Uint8Array.from(value as Uint8Array);
    return Buffer.from(value as Uint8Array).toString(name === 'hash' ? 'hex' : 'latin1');
  }
  if (type === 'sfixed64') return BigInt(String(value));
  return type === 'uint64' ? Number(String(value)) : value;
}
