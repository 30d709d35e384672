import { homedir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import { isWildcard, parseAddress } from './address.js';
import { checkReadable, folderOf, readConfigFile } from './config-file.js';
import { address, duration, label, path, tls, type TlsFiles, tlsPlaces } from './fields.js';
import { type YamlDocument, yamlError } from './yaml-document.js';
import { checkYaml } from './yaml-schema.js';

/** coordinator.yaml: what `globalfs coordinator start` runs. Paths are absolute. */
export interface CoordinatorConfig {
  /** All coordinators and all keys of one cluster bear its name. */
  readonly cluster: string;
  /** `host:port` of gRPC. */
  readonly listen: string;
  /** Where mounts and other coordinators reach it: `host:port`. */
  readonly advertise: string;
  /** `host:port` of /healthz and /readyz; undefined: they are not served. */
  readonly http: string | undefined;
  /** The mirror of etcd, or the LMDB store. */
  readonly stateDir: string;
  readonly store:
    | { readonly kind: 'etcd'; readonly endpoints: readonly string[]; readonly tls: TlsFiles | undefined }
    | { readonly kind: 'lmdb' }
    | { readonly kind: 'memory' };
  /** Set: TLS, and every client needs a certificate of `ca`. */
  readonly tls: TlsFiles | undefined;
  readonly sessionTtlMs: number;
  /** Inodes that are kept in memory. */
  readonly cacheInodes: number;
}

export const DEFAULT_LISTEN = '127.0.0.1:7400';
/**
 * A mount that is silent for longer loses its leases: long enough for a restart of the leader and a slow
 * network, short enough to wait for when a machine has died.
 */
const DEFAULT_SESSION_TTL_MS = 10_000;
/** Below a second, a busy machine is taken for a dead one; above ten minutes, everybody waits for a dead one. */
const SESSION_TTL_MS = { min: 1000, max: 600_000 } as const;
/** Some 350 bytes each with its name, and 400 more for the 16,384 that were used last: 30 MB. */
const DEFAULT_CACHE_INODES = 65_536;
/** A path of the deepest tree that is usual, many times over. */
const CACHE_INODES_MIN = 1024;

function defaultStateDir(): string {
  if (process.getuid?.() === 0) return '/var/lib/globalfs-coordinator';
  return join(homedir(), '.local', 'share', 'globalfs-coordinator');
}

const endpoint = z.string().regex(/^https?:\/\/(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5}\/?$/, {
  error: "write it as 'http://host:2379' or 'https://host:2379'",
});

const schemaFor = (folder: string) =>
  z.strictObject({
    cluster: label,
    listen: address.default(DEFAULT_LISTEN),
    advertise: address.optional(),
    http: address.optional(),
    state: path(folder).optional(),
    store: z.discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('etcd'),
        endpoints: z.array(endpoint).min(1, { error: 'name at least one endpoint' }),
        tls: tls(folder).optional(),
      }),
      z.strictObject({ kind: z.literal('lmdb') }),
      z.strictObject({ kind: z.literal('memory') }),
    ]),
    tls: tls(folder).optional(),
    sessionTtl: duration(SESSION_TTL_MS.min, SESSION_TTL_MS.max).default(DEFAULT_SESSION_TTL_MS),
    cacheInodes: z.int().min(CACHE_INODES_MIN).default(DEFAULT_CACHE_INODES),
  });

/** What each field allows by itself, but not together with others. */
function checkTogether(document: YamlDocument, config: CoordinatorConfig): void {
  if (isWildcard(parseAddress(config.advertise))) {
    throw yamlError([
      document.problemAt(
        ['advertise'],
        `nobody can connect to ${config.advertise}; add 'advertise: HOST:PORT', where mounts reach this machine`,
      ),
    ]);
  }
  const { store } = config;
  if (store.kind !== 'etcd' || store.tls === undefined) return;
  const plain = store.endpoints.findIndex((url) => url.startsWith('http:'));
  if (plain >= 0) {
    const text =
      'certificates are configured for a connection without TLS; write https:// here, or remove store.tls';
    throw yamlError([document.problemAt(['store', 'endpoints', plain], text)]);
  }
}

/** @throws GfsError CONFIG with everything that is wrong and where */
export function parseCoordinatorConfig(document: YamlDocument): CoordinatorConfig {
  const said = checkYaml(document, schemaFor(folderOf(document.file)));
  const config: CoordinatorConfig = {
    cluster: said.cluster,
    listen: said.listen,
    advertise: said.advertise ?? said.listen,
    http: said.http,
    stateDir: said.state ?? defaultStateDir(),
    store: said.store.kind === 'etcd' ? { ...said.store, tls: said.store.tls } : said.store,
    tls: said.tls,
    sessionTtlMs: said.sessionTtl,
    cacheInodes: said.cacheInodes,
  };
  checkTogether(document, config);
  return config;
}

/** Reads coordinator.yaml, and sees that the files it names can be read. @throws GfsError CONFIG, ENOENT, EACCES */
export function loadCoordinatorConfig(file: string): CoordinatorConfig {
  const document = readConfigFile(file);
  const config = parseCoordinatorConfig(document);
  checkReadable(document, [
    ...tlsPlaces(['tls'], config.tls),
    ...tlsPlaces(['store', 'tls'], config.store.kind === 'etcd' ? config.store.tls : undefined),
  ]);
  return config;
}
