/** The AWS SDK's client, as any server that speaks S3 can take it. */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { S3Client } from '@aws-sdk/client-s3';
import type { Egress } from '../../transfer/egress.ts';

export interface S3Address {
  /** URL of the server, e.g. `https://s3.eu-central-1.amazonaws.com`. */
  endpoint: string;
  bucket: string;
  region: string;
  accessKey: string;
  secretKey: string;
  /** The bucket in the URL's path and not in the host's name, as most servers but Amazon's want it. */
  pathStyle: boolean;
  /** Milliseconds without a byte after which a connection counts as broken; a minute by default. */
  stallTimeout?: number;
  /** What may be connected to; anything where absent. */
  egress?: Egress | undefined;
}

const CONNECT_TIMEOUT = 10_000;
const STALL_TIMEOUT = 60_000;
/** Of what moves no bytes, in milliseconds. */
const SMALL_REQUEST_TIMEOUT = 20_000;
/** The first one counts too; the SDK waits longer from one to the next. */
const ATTEMPTS = 4;
/** Of one storage, whatever is under way. */
const SOCKETS = 64;

export function openClient(address: S3Address): {
  client: S3Client;
  /** For requests that move no bytes. */
  smallRequest: { requestTimeout: number };
  close(): void;
} {
  const stallTimeout = address.stallTimeout ?? STALL_TIMEOUT;
  // Agents of our own: for requests that expect 100-continue, the SDK would make one each, with no bound.
  const sockets = { keepAlive: true, maxSockets: SOCKETS };
  const { http: httpAgent, https: httpsAgent } = address.egress?.agents(sockets) ?? {
    http: new HttpAgent(sockets),
    https: new HttpsAgent(sockets),
  };
  const client = new S3Client({
    endpoint: address.endpoint,
    region: address.region,
    forcePathStyle: address.pathStyle,
    credentials: { accessKeyId: address.accessKey, secretAccessKey: address.secretKey },
    // The SDK's default sends checksums in trailers that many servers don't know. Every body of ours is in memory
    // and signed with its SHA-256 (x-amz-content-sha256), which each server has to check: nothing is lost.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: ATTEMPTS,
    requestHandler: {
      httpAgent,
      httpsAgent,
      connectionTimeout: Math.min(CONNECT_TIMEOUT, stallTimeout),
      socketTimeout: stallTimeout,
      throwOnRequestTimeout: true,
    },
  });
  return {
    client,
    smallRequest: { requestTimeout: Math.min(SMALL_REQUEST_TIMEOUT, stallTimeout) },
    close() {
      client.destroy();
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}
