/**
 * The body of a hash worker. It is text, evaluated by the worker: a worker cannot load TypeScript, so a
 * file of its own would exist only after a build. It reads the range itself (descriptors are shared by the
 * threads of a process), so that the bytes never cross threads.
 *
 * in:  { id, fd, offset, length }
 * out: { id, hash } | { id, code, message }   (EIO when the file ends before the range does)
 */
export const BLOCK_WORKER_SOURCE = `
'use strict';
const { parentPort, workerData } = require('node:worker_threads');
const { readSync } = require('node:fs');
const { createRequire } = require('node:module');
const { blake3 } = createRequire(workerData.blake3Module)(workerData.blake3Module);
const buffer = Buffer.allocUnsafeSlow(workerData.blockBytes);
parentPort.on('message', ({ id, fd, offset, length }) => {
  try {
    let done = 0;
    while (done < length) {
      const count = readSync(fd, buffer, done, length - done, offset + done);
      if (count === 0) throw Object.assign(new Error('file ends before the block'), { code: 'EIO' });
      done += count;
    }
    parentPort.postMessage({ id, hash: blake3(buffer.subarray(0, length)).toString('hex') });
  } catch (thrown) {
    parentPort.postMessage({ id, code: thrown.code, message: thrown.message });
  }
});
`;
