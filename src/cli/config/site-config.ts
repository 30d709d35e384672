import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { GfsError, toGfsError } from '../../core/errors.js';
import {
  type S3StoreSpec,
  type SecretRef,
  SITE_ROLES,
  SITE_STATUSES,
  type SiteSpec,
} from '../../sites/site-spec.js';
import { problem } from '../problem.js';
import { parseYaml, yamlError } from './yaml-document.js';
import { checkYaml } from './yaml-schema.js';

/** AWS's first region; servers that are not AWS accept any, and this one by default. */
const DEFAULT_REGION = 'us-east-1';

const SITE_NAME = /^[a-z][a-z0-9-]{0,62}$/;

const absolutePath = z
  .string()
  .regex(/^\//, "must be an absolute path, beginning with '/': every node of the site uses it");

const secret = z
  .strictObject({
    env: z.string().min(1, 'must name an environment variable').optional(),
    file: absolutePath.optional(),
    command: z.string().min(1, 'must be a command for /bin/sh').optional(),
  })
  .refine((ref) => Object.values(ref).filter((value) => value !== undefined).length === 1, {
    error: 'must have exactly one of env, file or command, which say where the secret is',
  })
  .transform((ref): SecretRef => {
    if (ref.env !== undefined) return { from: 'env', name: ref.env };
    if (ref.file !== undefined) return { from: 'file', path: ref.file };
    return { from: 'command', command: ref.command ?? '' };
  });

const s3Store = z.strictObject({
  kind: z.literal('s3'),
  endpoint: z
    .url({ protocol: /^https?$/, error: 'must be a URL such as https://s3.example.org:9000' })
    .refine((url) => /^https?:\/\/[^/?#@]+\/?$/.test(url), {
      error: 'must be scheme, host and port only; the bucket and prefix have keys of their own',
    })
    .transform((url) => url.replace(/\/$/, ''))
    .optional(),
  bucket: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/, 'must be the name of a bucket'),
  prefix: z
    .string()
    .regex(/^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)*(?:[A-Za-z0-9_-][A-Za-z0-9._-]*)?$/, {
      error: "must be segments of letters, digits, '.', '_' and '-', with '/' between them",
    })
    .transform((prefix) => (prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`))
    .default(''),
  region: z.string().min(1, 'must be the name of a region').default(DEFAULT_REGION),
  pathStyle: z.boolean().optional(),
  signPayload: z.boolean().optional(),
  credentials: z.strictObject({ accessKeyId: secret, secretAccessKey: secret }).optional(),
  caFile: absolutePath.optional(),
});

const directoryStore = z.strictObject({ kind: z.literal('directory'), path: absolutePath });

const siteDocument = z.strictObject({
  name: z
    .string()
    .regex(SITE_NAME, "must be 1 to 63 of a-z, 0-9 and '-', beginning with a letter")
    .optional(),
  role: z.enum(SITE_ROLES).default('primary'),
  status: z.enum(SITE_STATUSES).default('active'),
  store: z.discriminatedUnion('kind', [s3Store, directoryStore]),
});

/**
 * A site.yaml: `role`, `store`, and `name` unless the caller has it.
 * @param name what the command line calls the site
 * @throws GfsError CONFIG, with file, line and column
 */
export function parseSiteConfig(text: string, file: string, name?: string): SiteSpec {
  const document = parseYaml(text, file);
  const site = checkYaml(document, siteDocument);
  if (name !== undefined && site.name !== undefined && site.name !== name) {
    const what = `the file's name is '${site.name}', but the command says '${name}'; leave one of them out`;
    throw yamlError([document.problemAt(['name'], what)]);
  }
  const named = name ?? site.name;
  if (named === undefined) {
    throw yamlError([document.problemAt([], "the site has no name; add 'name: NAME'", 'key')]);
  }
  const { role, status, store } = site;
  return {
    name: checkSiteName(named),
    role,
    status,
    store: store.kind === 'directory' ? store : withStyle(store),
  };
}

/** @throws GfsError CONFIG when the file cannot be read, or as `parseSiteConfig` */
export async function readSiteConfig(file: string, name?: string): Promise<SiteSpec> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (thrown) {
    const { message } = toGfsError(thrown);
    throw problem('CONFIG', `cannot read the site's file: ${message}`, '', 'check its path', thrown);
  }
  return parseSiteConfig(text, file, name);
}

/** @throws GfsError CONFIG */
export function checkSiteName(name: string): string {
  if (SITE_NAME.test(name)) return name;
  throw new GfsError(
    'CONFIG',
    `not a site's name: '${name}'; use 1 to 63 of a-z, 0-9 and '-', beginning with a letter`,
  );
}

/** Servers that are not AWS rarely have a host name for each bucket. */
function withStyle(store: Omit<S3StoreSpec, 'pathStyle'> & { pathStyle?: boolean }): S3StoreSpec {
  return { ...store, pathStyle: store.pathStyle ?? store.endpoint !== undefined };
}
