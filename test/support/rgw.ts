import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RgwServer, type RgwServerOptions } from '../../src/cli/dev/rgw-server.js';
import { silentLogger, systemClock } from '../../src/core/index.js';
import type { OpenStoreOptions, S3Credentials, S3StoreSpec, SiteSpec } from '../../src/sites/index.js';
import { Reaper } from './reaper.js';

export const RGW_USER = { name: 'test', accessKeyId: 'testkey', secretAccessKey: 'testsecret' } as const;
/** May do in the buckets only what a bucket policy allows. */
export const RGW_OTHER = { name: 'other', accessKeyId: 'otherkey', secretAccessKey: 'othersecret' } as const;
export const RGW_BUCKET = 'data';

export const STORE_OPTIONS: OpenStoreOptions = { clock: systemClock, logger: silentLogger };

/** A real S3 server for the tests of one file; it is gone when they end, however they end. */
export class TestRgw {
  readonly server: RgwServer;
  readonly directory: string;
  readonly #reaper: Reaper;

  private constructor(server: RgwServer, directory: string, reaper: Reaper) {
    this.server = server;
    this.directory = directory;
    this.#reaper = reaper;
  }

  /** @param prepare gives options that need the directory, such as certificates in it */
  static async start(
    prepare: (
      directory: string,
    ) => Partial<RgwServerOptions> | Promise<Partial<RgwServerOptions>> = () => ({}),
  ): Promise<TestRgw> {
    const reaper = new Reaper();
    const directory = await mkdtemp(join(tmpdir(), 'globalfs-rgw-'));
    reaper.directory(directory);
    try {
      const server = await RgwServer.start({
        directory,
        users: [RGW_USER, RGW_OTHER],
        buckets: [RGW_BUCKET],
        storeBytes: 1024 ** 3,
        onProcess: (pid) => reaper.process(pid),
        onProcessEnd: (pid) => reaper.processGone(pid),
        ...(await prepare(directory)),
      });
      return new TestRgw(server, directory, reaper);
    } catch (thrown) {
      await reaper.finish();
      throw thrown;
    }
  }

  get credentials(): S3Credentials {
    return RGW_USER;
  }

  site(store: Partial<S3StoreSpec> = {}, bucket = RGW_BUCKET): SiteSpec {
    const spec = { ...this.server.storeSpec(bucket), ...store };
    return { name: 'onprem', role: 'primary', status: 'active', store: spec };
  }

  async end(): Promise<void> {
    await this.server.stop();
    await this.#reaper.finish();
  }
}
