import { PutBucketPolicyCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/core/index.js';
import {
  openStore,
  type OpenStoreOptions,
  PROBE_STEPS,
  type ProbeReport,
  probeSite,
  type ProbeStep,
  type SiteSpec,
} from '../../src/sites/index.js';
import { makeCertificate } from '../support/certificates.js';
import { RGW_BUCKET, RGW_OTHER, RGW_USER, STORE_OPTIONS, TestRgw } from '../support/rgw.js';

/** A server by TLS, with a certificate of an authority of its own. */
let rgw: TestRgw;
let caFile: string;

beforeAll(async () => {
  rgw = await TestRgw.start(async (directory) => {
    const tls = await makeCertificate(directory);
    caFile = tls.caFile;
    return { tls };
  });
});
afterAll(() => rgw.end());

async function keysOf(site: SiteSpec): Promise<string[]> {
  const store = await openStore(site, STORE_OPTIONS);
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  store.close();
  return keys;
}

/** The one step that failed, with its error's message; what depends on it must have been skipped. */
function failure(report: ProbeReport): [ProbeStep, string] {
  const failed = report.steps.filter((result) => result.outcome === 'failed');
  expect(report.ok).toBe(false);
  expect(failed).toHaveLength(1);
  const [first] = failed;
  return [first?.step ?? 'open', first?.error.message ?? ''];
}

const probe = (site: SiteSpec, more: Partial<OpenStoreOptions> = {}): Promise<ProbeReport> =>
  probeSite(site, { ...STORE_OPTIONS, ...more });

describe('the probe of a site', () => {
  test('does every step on a store that is right, by TLS, and leaves nothing behind', async () => {
    const report = await probe(rgw.site());
    expect(report.steps.map(({ step, outcome }) => [step, outcome])).toEqual(
      PROBE_STEPS.map((step) => [step, 'ok']),
    );
    expect(report.ok).toBe(true);
    expect(await keysOf(rgw.site())).toEqual([]);
  });

  test('does so on a directory', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'globalfs-probe-'));
    try {
      const path = join(folder, 'store');
      await mkdir(path);
      const site: SiteSpec = {
        name: 'disk',
        role: 'primary',
        status: 'active',
        store: { kind: 'directory', path },
      };
      expect((await probe(site)).ok).toBe(true);
      expect(await keysOf(site)).toEqual([]);
      const [step, message] = failure(
        await probe({ ...site, store: { kind: 'directory', path: '/dev/null/x' } }),
      );
      expect([step, message]).toEqual(['open', expect.stringMatching(/ENOTDIR/)]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('tells of a bucket that is missing, a secret that is wrong, and one that is not there', async () => {
    expect(failure(await probe(rgw.site({}, 'no-such-bucket')))).toEqual([
      'connect',
      expect.stringMatching(/bucket no-such-bucket .*NoSuchBucket.*create the bucket/),
    ]);
    process.env.GLOBALFS_TEST_WRONG = 'wrong';
    const accessKeyId = { from: 'file', path: join(rgw.directory, 'keys', `${RGW_USER.name}.id`) } as const;
    const wrong = { accessKeyId, secretAccessKey: { from: 'env', name: 'GLOBALFS_TEST_WRONG' } } as const;
    expect(failure(await probe(rgw.site({ credentials: wrong })))).toEqual([
      'connect',
      expect.stringMatching(/SignatureDoesNotMatch.*check accessKeyId and secretAccessKey/),
    ]);
    delete process.env.GLOBALFS_TEST_WRONG;
    expect(failure(await probe(rgw.site({ credentials: wrong })))).toEqual([
      'open',
      'the secretAccessKey of site onprem: environment variable GLOBALFS_TEST_WRONG is not set',
    ]);
  });

  test('tells of a server that is not there, not trusted, or spoken to in the wrong protocol', async () => {
    expect(failure(await probe(rgw.site({ endpoint: 'https://127.0.0.1:9' })))).toEqual([
      'connect',
      expect.stringMatching(/cannot reach 127\.0\.0\.1:9: .*ECONNREFUSED/),
    ]);
    expect(failure(await probe(rgw.site({ caFile: '/etc/hostname' })))[1]).toMatch(
      /certificate of 127\.0\.0\.1:\d+ is not trusted .*set caFile to its authority/,
    );
    expect(failure(await probe(rgw.site({ caFile: '/nowhere/ca.pem' })))).toEqual([
      'open',
      expect.stringMatching(/cannot read the site's caFile: ENOENT/),
    ]);
    const plain = rgw.server.endpoint.replace('https:', 'http:');
    expect(failure(await probe(rgw.site({ endpoint: plain })))).toEqual([
      'connect',
      expect.stringMatching(/127\.0\.0\.1/),
    ]);
  });

  test('tells of a clock that is wrong', async () => {
    const clock = { ...systemClock, wallMs: () => Date.now() - 3_600_000 };
    expect(failure(await probe(rgw.site(), { clock }))).toEqual([
      'connect',
      expect.stringMatching(/RequestTimeTooSkewed.*clock is 3[56]\d\d s behind.*set this machine's clock/),
    ]);
  });

  test('tells of a right that is missing: to write, to list, or to delete', async () => {
    const may = ['s3:GetObject', 's3:PutObject', 's3:ListBucket', 's3:DeleteObject'];
    for (const [without, step] of [
      ['s3:PutObject', 'write'],
      ['s3:ListBucket', 'list'],
      ['s3:DeleteObject', 'delete'],
    ] as const) {
      await allow(may.filter((action) => action !== without));
      const other = { ...rgw.server.storeSpec(RGW_BUCKET, RGW_OTHER.name), prefix: `without-${step}/` };
      const report = await probe({ ...rgw.site(), store: other });
      const failed = report.steps.filter((result) => result.outcome === 'failed');
      expect(failed.map((result) => result.step)).toContain(step);
      for (const { error } of failed) {
        expect(error).toMatchObject({ code: 'EACCES', retryable: false });
        expect(error.message).toMatch(/what the key may do/);
      }
      if (step === 'delete') {
        expect(failed[0]?.error.message).toMatch(
          /garbage collection needs s3:DeleteObject; the object probe\//,
        );
      }
    }
  });
});

/** What the other user may do in the bucket. */
async function allow(actions: readonly string[]): Promise<void> {
  const client = new S3Client({
    endpoint: rgw.server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: RGW_USER,
    requestHandler: { httpsAgent: new Agent({ ca: await readFile(caFile) }) },
  });
  const statement = {
    Effect: 'Allow',
    Principal: { AWS: [`arn:aws:iam:::user/${RGW_OTHER.name}`] },
    Action: actions,
    Resource: [`arn:aws:s3:::${RGW_BUCKET}`, `arn:aws:s3:::${RGW_BUCKET}/*`],
  };
  const policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await client.send(new PutBucketPolicyCommand({ Bucket: RGW_BUCKET, Policy: policy }));
  client.destroy();
}
