/** `npm run test:ceph`: the contract on Ceph's gateway, which takes longer to install than all tests to run. */
import { after, before } from 'node:test';
import type { S3Address } from '../../src/backup-storage/s3/client.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { type Ceph, startCeph } from '../support/ceph.ts';
import { bucketOf } from '../support/s3-bucket.ts';
import { backupStorageDriverContract } from './backup-storage-driver.ts';
import { openS3Store } from './s3-store.ts';

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
