// One thread that digests with one algorithm for all transfers of the process, over the chunk pool's shared
// memory. Plain JavaScript, since stripping types would cost each worker 9 MiB for these few lines.
//
// A message is [operation, transfer, start, length]; each is answered in order, with the digest so far in hex
// for 'prefix' and 'end', with null otherwise.

import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';

const { algorithm, memory } = workerData;
const hashes = new Map();

parentPort.on('message', ([operation, id, start, length]) => {
  let hash = hashes.get(id);
  if (!hash) {
    hash = createHash(algorithm);
    hashes.set(id, hash);
  }
  switch (operation) {
    case 'update':
      hash.update(new Uint8Array(memory, start, length));
      return parentPort.postMessage(null);
    case 'prefix':
      return parentPort.postMessage(hash.copy().digest('hex'));
    case 'end':
      hashes.delete(id);
      return parentPort.postMessage(hash.digest('hex'));
  }
});
