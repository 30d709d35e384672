import { open } from 'node:fs/promises';
import { silentLogger, systemClock } from '../../src/core/index.js';
import { openStore, type SiteStore } from '../../src/sites/index.js';
import { pipelined, timed } from './pipelined.js';
import type { InputOf, Timed } from './worker-tasks.js';

const keyOf = (index: number): string => `bench/object-${index}`;

/** A file to objects, by the site's store as a mount has it: without hashes, compression and cache. */
export function putObjects({ file, bytes, site, ...load }: InputOf<'put'>): Promise<Timed> {
  return withStore(site, async (store) => {
    const from = await open(file, 'r');
    const put = async (index: number): Promise<void> => {
      const { buffer } = await from.read(Buffer.allocUnsafeSlow(bytes), 0, bytes, index * bytes);
      await store.put(keyOf(index), buffer);
    };
    return timed(() => pipelined(load, put)).finally(() => from.close());
  });
}

/** The objects to a new file, as curl and rclone do. @throws Error for one that is not as long as it was put */
export function getObjects({ file, bytes, site, ...load }: InputOf<'get'>): Promise<Timed> {
  return withStore(site, async (store) => {
    const to = await open(file, 'wx');
    const get = async (index: number): Promise<void> => {
      const { bytes: found } = await store.get(keyOf(index));
      if (found.length !== bytes) throw new Error(`${keyOf(index)} has ${found.length} bytes, not ${bytes}`);
      await to.write(found, 0, bytes, index * bytes);
    };
    return timed(() => pipelined(load, get)).finally(() => to.close());
  });
}

async function withStore<T>(
  site: InputOf<'put'>['site'],
  work: (store: SiteStore) => Promise<T>,
): Promise<T> {
  const store = await openStore(site, { clock: systemClock, logger: silentLogger });
  try {
    return await work(store);
  } finally {
    store.close();
  }
}
