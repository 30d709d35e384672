import * as z from 'zod';
import { GfsError, toGfsError } from '../../core/index.js';
import { SITE_ROLES, SITE_STATUSES, type SiteSpec } from '../../sites/index.js';
import type { AdminApi } from '../admin-api.js';
import { type AdminReply, decodeAdminRequest, encodeAdminReply } from './admin-messages.js';

/** What may be asked, and what its arguments must look like: they come from another process. */

const secretRef = z.discriminatedUnion('from', [
  z.strictObject({ from: z.literal('env'), name: z.string() }),
  z.strictObject({ from: z.literal('file'), path: z.string() }),
  z.strictObject({ from: z.literal('command'), command: z.string() }),
]);

const siteSpec: z.ZodType<SiteSpec> = z.strictObject({
  name: z.string(),
  role: z.enum(SITE_ROLES),
  status: z.enum(SITE_STATUSES),
  store: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('s3'),
      endpoint: z.string().optional(),
      bucket: z.string(),
      prefix: z.string(),
      region: z.string(),
      pathStyle: z.boolean(),
      signPayload: z.boolean().optional(),
      credentials: z.strictObject({ accessKeyId: secretRef, secretAccessKey: secretRef }).optional(),
      caFile: z.string().optional(),
    }),
    z.strictObject({ kind: z.literal('directory'), path: z.string() }),
  ]),
});

/** `leases` answers with at most so many: 16 Mi characters of JSON at 1 KiB each. */
const LEASES_MAX = 16_384;
const leaseOptions = z.strictObject({
  path: z.string().optional(),
  limit: z.int().min(1).max(LEASES_MAX),
});

type Arguments<M extends keyof AdminApi> = z.ZodType<Parameters<AdminApi[M]>>;

const ARGUMENTS: { readonly [M in keyof AdminApi]: Arguments<M> } = {
  status: z.tuple([]),
  mounts: z.tuple([]),
  leases: z.tuple([leaseOptions]),
  where: z.tuple([z.string()]),
  registerSite: z.tuple([siteSpec]),
  setSiteStatus: z.tuple([z.string(), z.enum(SITE_STATUSES)]),
  removeSite: z.tuple([z.string()]),
};

export const ADMIN_METHODS = Object.keys(ARGUMENTS) as readonly (keyof AdminApi)[];

/** Answers a call of `Admin/Call`. Does not reject: an error is an answer too. */
export async function answerAdminCall(api: AdminApi, bytes: Uint8Array): Promise<Uint8Array> {
  try {
    return encodeAdminReply(await answer(api, bytes));
  } catch (thrown) {
    return encodeAdminReply(failure(thrown));
  }
}

async function answer(api: AdminApi, bytes: Uint8Array): Promise<AdminReply> {
  const { method, json } = decodeAdminRequest(bytes);
  if (!Object.hasOwn(ARGUMENTS, method)) {
    throw new GfsError('ENOSYS', `this coordinator does not know the call '${method}'`);
  }
  const name = method as keyof AdminApi;
  const call = api[name].bind(api) as (...args: unknown[]) => Promise<unknown>;
  const result = await call(...parseArguments(name, json));
  return { kind: 'answer', json: JSON.stringify(result ?? null) };
}

function parseArguments(method: keyof AdminApi, json: string): readonly unknown[] {
  let raw: unknown;
  try {
    raw = JSON.parse(json);
  } catch (thrown) {
    throw new GfsError('EINVAL', `the arguments of '${method}' are not JSON`, { cause: thrown });
  }
  const checked = ARGUMENTS[method].safeParse(raw);
  if (checked.success) return checked.data;
  throw new GfsError(
    'EINVAL',
    `the arguments of '${method}' are not right: ${z.prettifyError(checked.error)}`,
  );
}

function failure(thrown: unknown): AdminReply {
  const { code, message, retryable, context } = toGfsError(thrown);
  const reply = { kind: 'failure', code, message, retryable } as const;
  return typeof context.leader === 'string' ? { ...reply, leader: context.leader } : reply;
}
