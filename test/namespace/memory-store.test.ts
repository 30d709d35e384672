import { MemoryStore } from '../../src/namespace/index.js';
import { kvContract } from './kv-contract.js';

kvContract('MemoryStore', () =>
  Promise.resolve({ store: new MemoryStore(), reopen: undefined, dispose: () => Promise.resolve() }),
);
