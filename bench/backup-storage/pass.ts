/**
 * One passage of a file into a backup storage or out of it, in a process of its own, so that its memory can be
 * measured: by a driver of ours, or by the AWS SDK's own upload and download. Prints a `Measured` as JSON.
 */
import { createReadStream, createWriteStream, fsyncSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import type { BackupStorageDriver } from '../../src/backup-storage/driver.ts';
import { PartFile } from '../../src/backup-storage/local/part-file.ts';
import type { S3Address } from '../../src/backup-storage/s3/client.ts';
import { CHUNK_BYTES, type Chunk, sharedPool } from '../../src/transfer/chunk-pool.ts';

export interface Pass {
  way: 'up' | 'down';
  /** Read on the way up, written on the way down. */
  file: string;
  path: string;
  by: { driver: { module: string; factory: string; options: unknown } } | { sdk: S3Address };
}

export interface Measured {
  seconds: number;
  /** The most memory that the process had at once (RSS), in bytes. */
  memory?: number;
}

const pass: Pass = JSON.parse(process.argv[2] ?? '');
const act = 'driver' in pass.by ? await byDriver(pass.by.driver) : bySdk(pass.by.sdk);
const began = performance.now();
await act();
const seconds = (performance.now() - began) / 1000;
console.log(JSON.stringify({ seconds, memory: process.resourceUsage().maxRSS * 1024 } satisfies Measured));
process.exit();

async function byDriver({ module, factory, options }: { module: string; factory: string; options: unknown }) {
  const driver: BackupStorageDriver = (await import(module))[factory](options);
  if (pass.way === 'down') return () => take(driver);
  return () => put(driver);
}

/** As a transfer does: chunks of the pool, each used again as soon as the driver lets go of it. */
async function put(driver: BackupStorageDriver): Promise<void> {
  const file = await open(pass.file);
  const { size } = await file.stat();
  const writer = await driver.create(pass.path, { expectedSize: size });
  const lease = sharedPool().lease();
  const { signal } = new AbortController();
  const writes: Promise<void>[] = [];
  for (let position = 0; position < size; ) {
    const chunk: Chunk = await lease.acquire(signal);
    const { bytesRead } = await file.read(chunk.bytes, 0, CHUNK_BYTES, position);
    position += bytesRead;
    writes.push(writer.write(chunk.bytes.subarray(0, bytesRead)).finally(() => lease.release(chunk)));
  }
  await Promise.all(writes);
  await writer.commit();
  await file.close();
}

/** As the service does when it fills a cache: chunks of the pool, written past the page cache where that can be. */
async function take(driver: BackupStorageDriver): Promise<void> {
  const reader = await driver.openForReading?.(pass.path);
  if (!reader) return save(driver.read(pass.path));
  const file = await PartFile.open(pass.file, { truncate: true });
  const lease = sharedPool().lease();
  const { signal } = new AbortController();
  const writes: Promise<void>[] = [];
  for (let position = 0; ; ) {
    const chunk: Chunk = await lease.acquire(signal);
    const length = await reader.read(chunk.bytes, position);
    if (length === 0) break;
    writes.push(file.write(chunk.bytes.subarray(0, length), position).finally(() => lease.release(chunk)));
    position += length;
  }
  await Promise.all(writes);
  await file.sync();
  await file.close();
}

function bySdk(address: S3Address): () => Promise<void> {
  const client = new S3Client({
    endpoint: address.endpoint,
    region: address.region,
    forcePathStyle: address.pathStyle,
    credentials: { accessKeyId: address.accessKey, secretAccessKey: address.secretKey },
    // With its default, a checksum in a trailer, it does not work on this server.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  const object = { Bucket: address.bucket, Key: pass.path };
  return async () => {
    if (pass.way === 'up') {
      await new Upload({ client, params: { ...object, Body: createReadStream(pass.file) } }).done();
    } else {
      const { Body } = await client.send(new GetObjectCommand(object));
      await save(Body as Readable);
    }
  };
}

async function save(bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const target = openSync(pass.file, 'w');
  await pipeline(bytes, createWriteStream('', { fd: target, autoClose: false }));
  fsyncSync(target);
}
