import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll } from '@jest/globals';
import { kvContract } from '../namespace/kv-contract.js';
import { EtcdRig } from './etcd-rig.js';

const OPERATIONS_MAX = 1024;
let rig: EtcdRig;
beforeAll(async () => {
  rig = await EtcdRig.start({ flags: [`--max-txn-ops=${OPERATIONS_MAX}`] });
});
afterAll(() => rig.stop());

kvContract('EtcdStore', async () => {
  const cluster = randomUUID();
  const options = { operationsMax: OPERATIONS_MAX };
  let reign = await rig.reign(rig.candidate({ cluster }), cluster, options);
  return {
    store: reign.store,
    reopen: async () => {
      await reign.store.close();
      await reign.term.resign();
      reign = await rig.reign(rig.candidate({ cluster }), cluster, options);
      return reign.store;
    },
    dispose: async () => {
      await reign.store.close();
      await reign.term.resign();
    },
  };
});
