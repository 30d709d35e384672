import { assertNever, type Clock, type Logger } from '../core/index.js';
import { DirectoryStore } from './directory-store.js';
import { LimitedStore } from './limited-store.js';
import { MeteredStore, type StoreStats } from './metered-store.js';
import type { ObjectStore } from './object-store.js';
import { type RetryOptions, RetryingStore } from './retrying-store.js';
import { CONNECTIONS_MAX, S3Store } from './s3-store.js';
import { resolveSecret } from './secret.js';
import type { S3StoreSpec, SiteSpec } from './site-spec.js';
import type { S3Credentials } from './s3/signature.js';

export interface OpenStoreOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
  /** Requests at once. */
  readonly inFlightMax?: number;
  /** S3: when a server that says nothing counts as unreachable. */
  readonly idleTimeoutMs?: number;
  readonly retry?: Partial<Pick<RetryOptions, 'attemptsMax' | 'totalMs' | 'waitMs' | 'waitMaxMs'>>;
}

/** A site's store, ready for use. It has no `adopt`: an object that is one with a file here is not for others. */
export interface SiteStore extends ObjectStore {
  stats(): StoreStats;
  /** The store without limits, retries and counts: for `StoreHealth`, which wants to know how it is now. */
  readonly bare: ObjectStore;
  /** Ends connections and descriptors. Requests that run fail. */
  close(): void;
}

/**
 * Opens the store of a site, as this node reaches it. Asks nothing of an S3 server yet: see `probeSite`.
 * @throws GfsError CONFIG for secrets or files that are not there; EACCES, ENOTDIR, ... for a directory
 */
export async function openStore(site: SiteSpec, options: OpenStoreOptions): Promise<SiteStore> {
  const { clock, logger } = options;
  const inFlightMax = options.inFlightMax ?? CONNECTIONS_MAX;
  const bare = await openBareStore(site, options);
  const limited = new LimitedStore(bare, inFlightMax);
  const random = options.random ?? Math.random;
  const retrying = new RetryingStore(limited, { clock, logger, random, ...options.retry });
  const metered = new MeteredStore(retrying, clock);
  return Object.assign(metered, { bare, close: () => bare.close() });
}

/** As `openStore`, without what is around it: every request is one attempt. */
export async function openBareStore(
  site: SiteSpec,
  options: OpenStoreOptions,
): Promise<ObjectStore & { close(): void }> {
  const { store: spec } = site;
  switch (spec.kind) {
    case 'directory':
      return new DirectoryStore(spec.path);
    case 's3': {
      const credentials = await resolveCredentials(spec, site.name);
      return S3Store.open({
        spec,
        site: site.name,
        connectionsMax: options.inFlightMax ?? CONNECTIONS_MAX,
        wallMs: () => options.clock.wallMs(),
        ...(options.idleTimeoutMs !== undefined && { idleTimeoutMs: options.idleTimeoutMs }),
        ...(credentials && { credentials }),
      });
    }
    default:
      return assertNever(spec);
  }
}

/** Undefined: the AWS SDK is to find them. */
async function resolveCredentials(
  { credentials }: S3StoreSpec,
  site: string,
): Promise<S3Credentials | undefined> {
  if (credentials === undefined) return undefined;
  return {
    accessKeyId: await resolveSecret(credentials.accessKeyId, `the accessKeyId of site ${site}`),
    secretAccessKey: await resolveSecret(credentials.secretAccessKey, `the secretAccessKey of site ${site}`),
  };
}
