import { writeFileSync } from 'node:fs';

/**
 * The configuration files of a playground. They are what a user would write, and meant to be copied:
 * examples/ has every setting.
 */

export function coordinatorYaml(settings: {
  cluster: string;
  listen: string;
  http: string;
  state: string;
  etcd: string;
}): string {
  return `# globalfs coordinator start --config coordinator.yaml
cluster: ${settings.cluster}
listen: ${settings.listen}
http: ${settings.http} # /healthz, /readyz
state: ${settings.state} # the copy of etcd
store:
  kind: etcd
  endpoints: [${settings.etcd}]
`;
}

export function siteYaml(settings: {
  name: string;
  role: string;
  endpoint: string;
  bucket: string;
  accessKeyFile: string;
  secretKeyFile: string;
}): string {
  return `# globalfs site register ${settings.name} --config site-${settings.name}.yaml
role: ${settings.role}
store:
  kind: s3
  endpoint: ${settings.endpoint}
  bucket: ${settings.bucket}
  pathStyle: true
  credentials:
    accessKeyId: { file: ${JSON.stringify(settings.accessKeyFile)} }
    secretAccessKey: { file: ${JSON.stringify(settings.secretKeyFile)} }
`;
}

export function mountYaml(settings: {
  coordinator: string;
  site: string;
  member: string;
  mountpoint: string;
  file: string;
  stateDir: string;
}): string {
  return `# globalfs mount --config ${settings.file} --state ${settings.stateDir} ${settings.mountpoint}
coordinators: [${settings.coordinator}]
site: ${settings.site}
member: ${settings.member}
cacheSize: 1G
`;
}

/** @param mode secrets are for their owner only */
export function writeConfig(file: string, text: string, mode: 0o600 | 0o644 = 0o644): void {
  writeFileSync(file, text, { mode, flag: 'wx' });
}
