import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { S3Address } from '../../src/backup-storage/s3/client.ts';
import type { S3Server } from './swift.ts';

let made = 0;

/** How to reach a server's bucket, which is made where it is missing. */
export async function bucketOf(server: S3Server, name?: string): Promise<S3Address> {
  const bucket = name ?? `test-${process.pid}-${++made}`;
  const client = clientOf(server);
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  return {
    endpoint: server.endpoint,
    bucket,
    region: server.region,
    accessKey: server.accessKey,
    secretKey: server.secretKey,
    pathStyle: true,
  };
}

/** The SDK's own client, to look behind the driver's back. */
export function clientOf(server: S3Server): S3Client {
  return new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}
