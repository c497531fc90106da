/** `npm run test:ceph`: the contract on Ceph's gateway, which takes longer to install than all tests to run. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { S3Address } from '../../src/backup-storage/s3/client.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { type Ceph, startCeph } from '../support/ceph.ts';
import { bucketOf } from '../support/s3-bucket.ts';
import { backupStorageDriverContract } from './backup-storage-driver.ts';
import { openS3Store } from './s3-store.ts';

const MIB = 1024 * 1024;

let ceph: Ceph;
let bucket: S3Address;
let prefixes = 0;
before(async () => {
  ceph = await startCeph();
  bucket = await bucketOf(ceph);
});
after(() => ceph.stop());

backupStorageDriverContract("an S3 backup storage on Ceph's gateway", {
  make: () => openS3Store({ ...bucket, uuid: newUuid(), prefix: `some/prefix ${++prefixes}` }),
  async makeSmall(bytes) {
    const small = await bucketOf(ceph);
    await ceph.limit(small.bucket, bytes);
    return openS3Store({ ...small, uuid: newUuid(), prefix: '' });
  },
});

describe('a large object', () => {
  /** More than one request may bring to S3. */
  const BYTES = 5 * 1024 * MIB + 4711;

  it(`of ${BYTES} bytes goes in and out`, { timeout: 900_000 }, async () => {
    const { driver } = await openS3Store({ ...bucket, uuid: newUuid(), prefix: 'large' });
    const block = randomBytes(MIB);
    const written = createHash('sha256');
    const writer = await driver.create('image', { expectedSize: BYTES });
    for (let position = 0; position < BYTES; position += MIB) {
      block.writeDoubleLE(position, 0);
      const chunk = block.subarray(0, Math.min(MIB, BYTES - position));
      written.update(chunk);
      await writer.write(chunk);
    }
    await writer.commit();
    assert.equal(await driver.size('image'), BYTES);
    const read = createHash('sha256');
    for await (const piece of driver.read('image')) read.update(piece);
    assert.equal(read.digest('hex'), written.digest('hex'));
    await driver.close();
  });
});
