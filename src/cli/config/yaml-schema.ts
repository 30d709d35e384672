import * as z from 'zod';
import { suggest } from '../problem.js';
import { type YamlDocument, yamlError, type YamlPath, type YamlProblem } from './yaml-document.js';

/**
 * The document's value as the schema wants it. Use `z.strictObject`: an unknown key is then an error that
 * names the key that was probably meant.
 * @throws GfsError CONFIG with everything that is wrong, each with its place in the file
 */
export function checkYaml<Schema extends z.ZodType>(
  document: YamlDocument,
  schema: Schema,
): z.output<Schema> {
  const result = schema.safeParse(document.value, { reportInput: true });
  if (result.success) return result.data;
  throw yamlError(result.error.issues.flatMap((issue) => problemsOf(document, schema, issue)));
}

function problemsOf(document: YamlDocument, schema: z.ZodType, issue: z.core.$ZodIssue): YamlProblem[] {
  const path = issue.path as YamlPath;
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => {
        const known = keysAt(schema, path);
        const meant = suggest(key, known);
        const hint = meant === undefined ? `known are: ${known.join(', ')}` : `did you mean '${meant}'?`;
        return document.problemAt([...path, key], `unknown key '${key}'; ${hint}`, 'key');
      });
    case 'invalid_type': {
      if (issue.input === undefined || (issue.input === null && path.length === 0)) {
        const text = path.length === 0 ? 'the file is empty' : `'${path.join('.')}' is missing`;
        return [document.problemAt(path, text, 'key')];
      }
      return [document.problemAt(path, `${named(path)} must be ${article(issue.expected)}`)];
    }
    case 'invalid_value':
      return [document.problemAt(path, oneOf(path, issue.input, issue.values))];
    case 'invalid_union': {
      if ('discriminator' in issue && issue.discriminator !== undefined) {
        const values = 'options' in issue && issue.options !== undefined ? issue.options : [];
        const at = path.at(-1) === issue.discriminator ? path : [...path, issue.discriminator];
        return [document.problemAt(at, oneOf(at, valueAt(document.value, at), values))];
      }
      // Of several shapes, the one that has the least wrong was probably meant.
      const [nearest] = [...issue.errors].sort((a, b) => a.length - b.length);
      const inner = (nearest ?? []).map((each) => ({ ...each, path: [...issue.path, ...each.path] }));
      if (inner.length === 0) return [document.problemAt(path, `${named(path)} has no known shape`)];
      return inner.flatMap((each) => problemsOf(document, schema, each));
    }
    default:
      return [document.problemAt(path, `${named(path)}: ${issue.message}`)];
  }
}

const named = (path: YamlPath): string => (path.length === 0 ? 'the file' : `'${path.join('.')}'`);

function oneOf(path: YamlPath, input: unknown, values: readonly unknown[]): string {
  const known = values.map(String);
  const list = known.length === 0 ? '' : `; use ${known.join(', ').replace(/, ([^,]*)$/, ' or $1')}`;
  if (input === undefined) return `'${path.join('.')}' is missing${list}`;
  const meant = typeof input === 'string' ? suggest(input, known) : undefined;
  const hint = meant === undefined ? list : `; did you mean '${meant}'?`;
  return `${named(path)} cannot be ${JSON.stringify(input)}${hint}`;
}

const ARTICLES: Record<string, string> = {
  object: 'a group of keys',
  record: 'a group of keys',
  array: 'a list',
  int: 'a whole number',
  number: 'a number',
  string: 'text (quote it if it looks like something else)',
  boolean: 'true or false',
};
const article = (type: string): string => ARTICLES[type] ?? `of type ${type}`;

function valueAt(value: unknown, path: YamlPath): unknown {
  let here = value;
  for (const step of path) here = (here as Record<string | number, unknown> | undefined)?.[step];
  return here;
}

/** The keys that the schema knows in the object at `path`. */
function keysAt(schema: z.ZodType, path: YamlPath): string[] {
  const shapes = schemasAt([schema], path).filter((each) => each instanceof z.ZodObject);
  return [...new Set(shapes.flatMap((each) => Object.keys(each.shape)))];
}

function schemasAt(schemas: readonly z.core.$ZodType[], path: YamlPath): z.core.$ZodType[] {
  const plain = schemas.flatMap(unwrapped);
  const [step, ...rest] = path;
  if (step === undefined) return plain;
  return schemasAt(
    plain.flatMap((each): z.core.$ZodType[] => {
      if (each instanceof z.ZodObject) {
        const inner = (each.shape as Record<string, z.core.$ZodType>)[String(step)];
        return inner === undefined ? [] : [inner];
      }
      if (each instanceof z.ZodArray) return [each.element];
      return each instanceof z.ZodRecord ? [each.valueType] : [];
    }),
    rest,
  );
}

/** Without optional, default, transform; a union as its members. */
function unwrapped(schema: z.core.$ZodType): z.core.$ZodType[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return unwrapped(schema.unwrap());
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return unwrapped(schema.unwrap());
  if (schema instanceof z.ZodPipe) return unwrapped(schema.in);
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(unwrapped);
  return [schema];
}
