import { afterAll, beforeAll } from '@jest/globals';
import { withMount, type Mounted, type MountSettings } from './mounted.js';

/** One mount for all tests of a describe block (or file): mounted before the first, gone after the last. */
export function suiteMount(settings: MountSettings = {}): () => Mounted {
  let mounted: Mounted | undefined;
  let release: () => void = () => undefined;
  let over: Promise<void> = Promise.resolve();
  beforeAll(async () => {
    await new Promise<void>((serving, failed) => {
      over = withMount(settings, (m) => {
        mounted = m;
        serving();
        return new Promise<void>((resolve) => (release = resolve));
      });
      over.catch(failed);
    });
  });
  afterAll(async () => {
    release();
    await over;
  });
  return () => {
    if (mounted === undefined) throw new Error('nothing is mounted outside of a test');
    return mounted;
  };
}
