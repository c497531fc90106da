import { after, before } from 'node:test';
import type { S3Address } from '../../src/backup-storage/s3/client.ts';
import { SMALLEST_PART } from '../../src/backup-storage/s3/part-size.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { bucketOf } from '../support/s3-bucket.ts';
import { type Swift, startSwift } from '../support/swift.ts';
import { backupStorageDriverContract } from './backup-storage-driver.ts';
import { openS3Store } from './s3-store.ts';

let swift: Swift;
let bucket: S3Address;
let prefixes = 0;
before(async () => {
  swift = await startSwift();
  bucket = await bucketOf(swift);
});
after(() => swift.stop());

backupStorageDriverContract('an S3 backup storage', {
  make: () => openS3Store({ ...bucket, uuid: newUuid(), prefix: `some/prefix ${++prefixes}` }),
  async makeSmall(bytes) {
    const small = await bucketOf(swift);
    // Swift looks at the sum of a container once a minute: only what alone is too large is refused at once.
    await swift.limit(small.bucket, Math.min(bytes, SMALLEST_PART) - 1);
    return openS3Store({ ...small, uuid: newUuid(), prefix: '' });
  },
});
