import { randomBytes } from 'node:crypto';
import { silentLogger, systemClock } from '../../src/core/index.js';
import { openStore } from '../../src/sites/index.js';
import { pipelined, timed } from './pipelined.js';
import type { InputOf, Timed } from './worker-tasks.js';

const keyOf = (index: number): string => `bench/object-${index}`;

/** The site's store as a mount has it, without hashes, compression and cache. */
export async function putObjects({ site, bytes, ...load }: InputOf<'put'>): Promise<Timed> {
  const store = await openStore(site, { clock: systemClock, logger: silentLogger });
  // Its beginning tells the objects apart; to make each of them anew would be part of the time.
  const body = randomBytes(bytes);
  try {
    return await timed(() =>
      pipelined(load, (index) => {
        const own = Buffer.from(body);
        own.writeUInt32LE(index, 0);
        return store.put(keyOf(index), own);
      }),
    );
  } finally {
    store.close();
  }
}

/** @throws Error for an object that is not as long as it was put */
export async function getObjects({ site, bytes, ...load }: InputOf<'get'>): Promise<Timed> {
  const store = await openStore(site, { clock: systemClock, logger: silentLogger });
  try {
    return await timed(() =>
      pipelined(load, async (index) => {
        const found = (await store.get(keyOf(index))).bytes.length;
        if (found !== bytes) throw new Error(`${keyOf(index)} has ${found} bytes instead of ${bytes}`);
      }),
    );
  } finally {
    store.close();
  }
}
