import type { Ino, Name } from '../core/index.js';
import { decodeDentry } from './codec.js';
import { Keys } from './keys.js';
import type { KvStore } from './kv-store.js';
import { scanPrefix } from './scan.js';

/** Entries looked at in one turn of the event loop: some 2 ms. */
const TURN_ENTRIES = 1000;

interface Place {
  readonly parent: Ino;
  readonly name: Name;
}

/**
 * One of the paths of an inode, from the root, bytes as characters; undefined when it has none. Inodes
 * do not know their names, so this reads every entry of the namespace once for each level: for log lines
 * and reports, not for requests.
 */
export async function findPath(kv: KvStore, keys: Keys, root: Ino, ino: Ino): Promise<string | undefined> {
  const names: string[] = [];
  for (let at = ino; at !== root;) {
    const place = await findPlace(kv, keys, at);
    if (place === undefined) return undefined;
    names.unshift(place.name);
    at = place.parent;
  }
  return `/${names.join('/')}`;
}

async function findPlace(kv: KvStore, keys: Keys, ino: Ino): Promise<Place | undefined> {
  let seen = 0;
  for (const { key, value } of scanPrefix(kv, keys.dentries)) {
    const parsed = Keys.parse(key, keys.dentries);
    if (parsed !== undefined && decodeDentry(value).ino === ino) {
      return { parent: parsed.ino, name: parsed.rest as Name };
    }
    if (++seen % TURN_ENTRIES === 0) await new Promise(setImmediate);
  }
  return undefined;
}
