import { MemoryStore } from '../../src/sites/index.js';
import { objectStoreContract } from './object-store-contract.js';

objectStoreContract('MemoryStore', () => ({ store: new MemoryStore(), end: () => undefined }));
