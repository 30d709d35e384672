import { hostname } from 'node:os';
import * as z from 'zod';
import type { ClusterSettings } from '../mount-service.js';
import { type CacheSize, parseCacheSize } from '../quantities.js';
import { checkReadable, folderOf, readConfigFile } from './config-file.js';
import { address, label, patience, tls, tlsPlaces, word } from './fields.js';
import type { YamlDocument } from './yaml-document.js';
import { checkYaml } from './yaml-schema.js';

/** globalfs.yaml: which cluster a mount belongs to, and how. Paths are absolute. */
export interface MountConfig extends ClusterSettings {
  readonly cacheSize: CacheSize | undefined;
}

/** A cluster has three or five coordinators; more is a mistake of copying. */
const COORDINATORS_MAX = 16;

const schemaFor = (folder: string) =>
  z.strictObject({
    coordinators: z
      .array(address)
      .min(1, { error: 'name at least one coordinator' })
      .max(COORDINATORS_MAX, { error: `name at most ${COORDINATORS_MAX} coordinators` }),
    site: label,
    member: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/, { error: 'use a host name: letters, digits, - and .' })
      .optional(),
    cacheSize: word((text) => parseCacheSize(text, '')).optional(),
    tls: tls(folder).optional(),
    unreachable: patience.default({ kind: 'wait' }),
    storeUnreachable: patience.default({ kind: 'wait' }),
    consistency: z.literal('strict').default('strict'),
  });

/** @throws GfsError CONFIG with everything that is wrong and where */
export function parseMountConfig(document: YamlDocument): MountConfig {
  const said = checkYaml(document, schemaFor(folderOf(document.file)));
  return {
    coordinators: said.coordinators,
    site: said.site,
    member: said.member ?? hostname(),
    cacheSize: said.cacheSize,
    tls: said.tls,
    unreachable: said.unreachable,
    storeUnreachable: said.storeUnreachable,
  };
}

/** Reads globalfs.yaml, and sees that the files it names can be read. @throws GfsError CONFIG, ENOENT, EACCES */
export function loadMountConfig(file: string): MountConfig {
  const document = readConfigFile(file);
  const config = parseMountConfig(document);
  checkReadable(document, tlsPlaces(['tls'], config.tls));
  return config;
}
