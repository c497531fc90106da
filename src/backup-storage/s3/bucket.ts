/** The requests that a storage makes of its bucket, each with its time limit and its errors in words. */
import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { IngotError } from '../../kernel/errors.ts';
import { openClient, type S3Address } from './client.ts';
import { asS3Error, isAbsent, isConditionFailed, isDamaged, isNotOffered, statusOf } from './error.ts';
import type { Head, Part, StoredObject, Upload } from './stored.ts';

/** How often a body is sent that comes damaged. */
const DELIVERIES = 4;
/** Our name for the upload that an object came by, in its user metadata. */
const TAG = 'ingot-upload';

export class S3Bucket {
  readonly #client: S3Client;
  readonly #close: () => void;
  readonly #bucket: string;
  readonly #endpoint: string;
  readonly #small: { requestTimeout: number };

  constructor(address: S3Address) {
    const { client, smallRequest, close } = openClient(address);
    this.#client = client;
    this.#close = close;
    this.#small = smallRequest;
    this.#bucket = address.bucket;
    this.#endpoint = address.endpoint;
  }

  /** The object as a person would look for it. */
  location(key: string): string {
    return `s3://${this.#bucket}/${key}`;
  }

  where(key: string): string {
    return `${this.location(key)} at ${this.#endpoint}`;
  }

  async head(key: string): Promise<Head | undefined> {
    try {
      const answer = await this.#client.send(new HeadObjectCommand(this.#of(key)), this.#small);
      return { size: answer.ContentLength ?? 0, etag: answer.ETag ?? '', tag: answer.Metadata?.[TAG] };
    } catch (thrown) {
      if (isAbsent(thrown)) return undefined;
      throw asS3Error(thrown, this.where(key));
    }
  }

  /**
   * The object's bytes [start, end), undefined where it ends before. Given an ETag, the object is still the one that
   * has it, or it is an error.
   */
  async get(
    key: string,
    { start, end }: { start: number; end: number },
    etag?: string,
  ): Promise<{ body: Readable; size: number; etag: string } | undefined> {
    const whole = start === 0 && end === Number.POSITIVE_INFINITY;
    const range = `bytes=${start}-${end === Number.POSITIVE_INFINITY ? '' : end - 1}`;
    try {
      const answer = await this.#client.send(
        new GetObjectCommand({
          ...this.#of(key),
          ...(!whole && { Range: range }),
          ...(etag !== undefined && { IfMatch: etag }),
        }),
        this.#small,
      );
      const body = answer.Body as Readable;
      if (!whole && answer.ContentRange === undefined) {
        body.destroy();
        throw new IngotError('SYS.1016', `${this.where(key)}: the server gives no ranges of an object.`);
      }
      return { body, size: answer.ContentLength ?? 0, etag: answer.ETag ?? '' };
    } catch (thrown) {
      if (statusOf(thrown) === 416) return undefined;
      throw asS3Error(thrown, this.where(key));
    }
  }

  /** The object's text, undefined where there is none. For small ones. */
  async text(key: string, signal?: AbortSignal): Promise<string | undefined> {
    try {
      const answer = await this.#client.send(new GetObjectCommand(this.#of(key)), {
        ...this.#small,
        ...(signal && { abortSignal: signal }),
      });
      return (await answer.Body?.transformToString('utf8')) ?? '';
    } catch (thrown) {
      if (isAbsent(thrown)) return undefined;
      throw asS3Error(thrown, this.where(key));
    }
  }

  async put(
    key: string,
    body: Uint8Array,
    options: { tag?: string; signal?: AbortSignal } = {},
  ): Promise<void> {
    await this.#deliver(key, () =>
      this.#client.send(
        new PutObjectCommand({
          ...this.#of(key),
          Body: body,
          ...(options.tag !== undefined && { Metadata: { [TAG]: options.tag } }),
        }),
        { ...(options.signal && { abortSignal: options.signal }) },
      ),
    );
  }

  /** Puts the object unless there is one already, where the server can see to that; fulfilled with whether it did. */
  async putNew(key: string, body: Uint8Array): Promise<boolean> {
    try {
      await this.#client.send(
        new PutObjectCommand({ ...this.#of(key), Body: body, IfNoneMatch: '*' }),
        this.#small,
      );
      return true;
    } catch (thrown) {
      if (isConditionFailed(thrown)) return false;
      if (!isNotOffered(thrown)) throw asS3Error(thrown, this.where(key));
    }
    if ((await this.text(key)) !== undefined) return false;
    await this.put(key, body);
    return true;
  }

  async delete(key: string): Promise<void> {
    // One at a time: for many in one request, strict servers want an MD5 that newer SDKs send no more.
    await this.#client.send(new DeleteObjectCommand(this.#of(key)), this.#small).catch((thrown) => {
      if (!isAbsent(thrown)) throw asS3Error(thrown, this.where(key));
    });
  }

  async createUpload(key: string, tag: string): Promise<string> {
    const answer = await this.#do(key, () =>
      this.#client.send(
        new CreateMultipartUploadCommand({ ...this.#of(key), Metadata: { [TAG]: tag } }),
        this.#small,
      ),
    );
    return answer.UploadId ?? '';
  }

  /** Fulfilled with the part's ETag. */
  async uploadPart(upload: Upload, number: number, body: Uint8Array, signal: AbortSignal): Promise<string> {
    const answer = await this.#deliver(upload.key, () =>
      this.#client.send(
        new UploadPartCommand({
          ...this.#of(upload.key),
          UploadId: upload.id,
          PartNumber: number,
          Body: body,
        }),
        { abortSignal: signal },
      ),
    );
    return answer.ETag ?? '';
  }

  /** Makes [start, end) of an object a part, without the bytes coming here; undefined where the server can't. */
  async copyPart(
    upload: Upload,
    number: number,
    source: { key: string; start: number; end: number },
    signal: AbortSignal,
  ): Promise<string | undefined> {
    try {
      const answer = await this.#client.send(
        new UploadPartCopyCommand({
          ...this.#of(upload.key),
          UploadId: upload.id,
          PartNumber: number,
          CopySource: [this.#bucket, ...source.key.split('/')].map(encodeURIComponent).join('/'),
          CopySourceRange: `bytes=${source.start}-${source.end - 1}`,
        }),
        { abortSignal: signal },
      );
      return answer.CopyPartResult?.ETag;
    } catch (thrown) {
      if (isNotOffered(thrown)) return undefined;
      throw asS3Error(thrown, this.where(upload.key));
    }
  }

  /** Makes the parts an object, all or nothing. `tag`: the upload's, if it is known. */
  async completeUpload(
    upload: Upload,
    parts: readonly { number: number; etag: string }[],
    tag?: string,
  ): Promise<void> {
    const request = {
      ...this.#of(upload.key),
      UploadId: upload.id,
      MultipartUpload: { Parts: parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag })) },
    };
    try {
      await this.#client.send(new CompleteMultipartUploadCommand(request));
    } catch (thrown) {
      // It may have been done although the answer was lost; then the server knows of no such upload any longer.
      const object = isAbsent(thrown) ? await this.head(upload.key) : undefined;
      if (!object || (tag !== undefined && object.tag !== tag))
        throw asS3Error(thrown, this.where(upload.key));
    }
  }

  /**
   * Ends the upload and its parts; one that is gone is success. A part that was still on its way may land after the
   * first call, so that it is asked again until the server knows of no such upload.
   */
  async abortUpload(upload: Upload): Promise<void> {
    for (let tries = 1; tries <= 3; tries++) {
      const request = { ...this.#of(upload.key), UploadId: upload.id };
      try {
        await this.#client.send(new AbortMultipartUploadCommand(request), this.#small);
      } catch (thrown) {
        if (isAbsent(thrown)) return;
        throw asS3Error(thrown, this.where(upload.key));
      }
    }
  }

  /** The unfinished uploads whose keys begin with the prefix. */
  async *uploads(prefix: string): AsyncGenerator<Upload> {
    let from: { KeyMarker?: string; UploadIdMarker?: string } = {};
    for (;;) {
      const answer = await this.#do(prefix, () =>
        this.#client.send(
          new ListMultipartUploadsCommand({ Bucket: this.#bucket, Prefix: prefix, ...from }),
          this.#small,
        ),
      );
      for (const { Key, UploadId } of answer.Uploads ?? []) {
        if (Key !== undefined && UploadId !== undefined) yield { key: Key, id: UploadId };
      }
      if (!answer.IsTruncated || !answer.NextKeyMarker) return;
      from = {
        KeyMarker: answer.NextKeyMarker,
        ...(answer.NextUploadIdMarker && { UploadIdMarker: answer.NextUploadIdMarker }),
      };
    }
  }

  /** The parts that the server has, by number; undefined when it knows of no such upload. */
  async parts(upload: Upload): Promise<Part[] | undefined> {
    const parts: Part[] = [];
    let from: { PartNumberMarker?: string } = {};
    for (;;) {
      try {
        const answer = await this.#client.send(
          new ListPartsCommand({ ...this.#of(upload.key), UploadId: upload.id, ...from }),
          this.#small,
        );
        for (const { PartNumber = 0, Size = 0, ETag = '' } of answer.Parts ?? []) {
          parts.push({ number: PartNumber, size: Size, etag: ETag });
        }
        if (!answer.IsTruncated || !answer.NextPartNumberMarker) return parts;
        from = { PartNumberMarker: answer.NextPartNumberMarker };
      } catch (thrown) {
        if (isAbsent(thrown)) return undefined;
        throw asS3Error(thrown, this.where(upload.key));
      }
    }
  }

  /** The objects whose keys begin with the prefix, in the order of their keys. */
  async *objects(prefix: string, pageSize?: number): AsyncGenerator<StoredObject> {
    let from: { ContinuationToken?: string } = {};
    for (;;) {
      const answer = await this.#do(prefix, () =>
        this.#client.send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: prefix,
            ...(pageSize !== undefined && { MaxKeys: pageSize }),
            ...from,
          }),
          this.#small,
        ),
      );
      for (const { Key, Size = 0 } of answer.Contents ?? []) {
        if (Key !== undefined) yield { key: Key, size: Size };
      }
      if (!answer.IsTruncated || !answer.NextContinuationToken) return;
      from = { ContinuationToken: answer.NextContinuationToken };
    }
  }

  close(): void {
    this.#close();
  }

  #of(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: key };
  }

  /** As `#do`, for what has a body: sent again where it came damaged, which the SDK takes for the caller's fault. */
  async #deliver<T>(key: string, act: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await act();
      } catch (thrown) {
        if (attempt === DELIVERIES || !isDamaged(thrown)) throw asS3Error(thrown, this.where(key));
      }
    }
  }

  async #do<T>(key: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (thrown) {
      throw asS3Error(thrown, this.where(key));
    }
  }
}
