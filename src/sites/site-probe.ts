import { randomUUID } from 'node:crypto';
import { GfsError, toGfsError } from '../core/index.js';
import type { ObjectStore } from './object-store.js';
import { openBareStore, type OpenStoreOptions } from './open-store.js';
import type { SiteSpec } from './site-spec.js';

/** In this order; what depends on a failed one is skipped. */
export const PROBE_STEPS = ['open', 'connect', 'write', 'read', 'read-part', 'list', 'delete'] as const;
export type ProbeStep = (typeof PROBE_STEPS)[number];

export type ProbeResult =
  | { readonly step: ProbeStep; readonly outcome: 'ok'; readonly ms: number }
  /** `error.message` says what is wrong and what to do. */
  | { readonly step: ProbeStep; readonly outcome: 'failed'; readonly ms: number; readonly error: GfsError }
  | { readonly step: ProbeStep; readonly outcome: 'skipped' };

export interface ProbeReport {
  readonly ok: boolean;
  readonly steps: readonly ProbeResult[];
}

/** A person waits for the answer: the usual 15 s of silence would be long. */
const IDLE_TIMEOUT_MS = 5000;

const BODY_BYTES = 10_000;
const PART = { offset: 1234, length: 4321 };

/**
 * Does with one object of a site's store what GlobalFS does with all of them, and reports each step. The
 * object is deleted again; it never throws.
 */
export async function probeSite(site: SiteSpec, options: OpenStoreOptions): Promise<ProbeReport> {
  const probe = new Probe(options);
  const opened = await probe.step('open', () =>
    openBareStore(site, { idleTimeoutMs: IDLE_TIMEOUT_MS, ...options }),
  );
  if (opened !== undefined) {
    try {
      await probe.exercise(opened, site.store.kind);
    } finally {
      opened.close();
    }
  }
  return probe.report();
}

class Probe {
  readonly #options: OpenStoreOptions;
  readonly #results = new Map<ProbeStep, ProbeResult>();

  constructor(options: OpenStoreOptions) {
    this.#options = options;
  }

  /** Undefined when it fails. */
  async step<T>(step: ProbeStep, work: () => Promise<T>): Promise<T | undefined> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    try {
      const result = await work();
      this.#results.set(step, { step, outcome: 'ok', ms: clock.monotonicMs() - startedMs });
      return result;
    } catch (thrown) {
      const ms = clock.monotonicMs() - startedMs;
      this.#results.set(step, { step, outcome: 'failed', ms, error: toGfsError(thrown) });
      return undefined;
    }
  }

  async exercise(store: ObjectStore, kind: SiteSpec['store']['kind']): Promise<void> {
    const key = `probe/${randomUUID()}`;
    const body = Buffer.from(Array.from({ length: BODY_BYTES }, (_, i) => (i * 31) % 251));
    if ((await this.step('connect', () => connect(store, key))) === undefined) return;
    if ((await this.step('write', () => write(store, key, body))) === undefined) return;
    await this.step('read', async () => {
      const { bytes } = await store.get(key);
      if (!body.equals(bytes)) throw different(key, 'other bytes than were written');
    });
    await this.step('read-part', async () => {
      const { bytes, totalBytes } = await store.get(key, PART);
      const right = body.subarray(PART.offset, PART.offset + PART.length).equals(bytes);
      if (!right || totalBytes !== BODY_BYTES) throw different(key, 'another part than was asked for');
    });
    await this.step('list', () => isListed(store, key));
    await this.step('delete', () => remove(store, key, kind));
  }

  report(): ProbeReport {
    const steps = PROBE_STEPS.map(
      (step): ProbeResult => this.#results.get(step) ?? { step, outcome: 'skipped' },
    );
    return { ok: steps.every(({ outcome }) => outcome === 'ok'), steps };
  }
}

/** Asks for an object that is not there: whoever says so has looked, and knows the key. */
async function connect(store: ObjectStore, key: string): Promise<true> {
  try {
    await store.get(key);
  } catch (thrown) {
    const error = toGfsError(thrown);
    // Without the right to list, S3 does not tell what is missing: the following steps show what is allowed.
    if (error.code === 'ENOENT' || error.context.s3Code === 'AccessDenied') return true;
    throw error;
  }
  throw different(key, 'an object that was never written');
}

async function write(store: ObjectStore, key: string, body: Uint8Array): Promise<true> {
  await store.put(key, body);
  await store.sync();
  return true;
}

async function isListed(store: ObjectStore, key: string): Promise<void> {
  for await (const info of store.list(key)) {
    if (info.key === key && info.bytes === BODY_BYTES) return;
  }
  throw different(key, 'a listing without the object that was just written');
}

async function remove(store: ObjectStore, key: string, kind: SiteSpec['store']['kind']): Promise<void> {
  try {
    await store.delete(key);
  } catch (thrown) {
    const { code, message, context } = toGfsError(thrown);
    const need = kind === 's3' ? '; garbage collection needs s3:DeleteObject' : '';
    throw new GfsError(code, `${message}${need}; the object ${key} is left there`, {
      cause: thrown,
      context,
    });
  }
  if ((await store.head(key)) !== undefined) throw different(key, 'an object that was just deleted');
}

function different(key: string, what: string): GfsError {
  return new GfsError('CORRUPT', `the store answered with ${what}; it cannot be used for a site`, {
    context: { key },
  });
}
