import { IngotError } from '../../kernel/errors.ts';
import type { BackupStorageKind } from '../kind.ts';
import { Keys } from './object-key.ts';
import { S3Storage } from './s3-storage.ts';

export const s3Kind: BackupStorageKind = {
  declared: S3Storage,

  async place({ endpoint, bucket, prefix, region, pathStyle, quota }, { others, egress }) {
    const { origin: server, protocol } = new URL(endpoint ?? '');
    egress?.requireScheme(protocol.slice(0, -1), `'endpoint' ${server} names`, 'endpoint');
    const { root } = new Keys(prefix ?? '');
    const url = `${server}/${bucket}/${root}`;
    // One slash at the end of each: `a/` doesn't overlap with `ab/`.
    const other = others.find(
      (each) => each.type === S3Storage.type && (each.url.startsWith(url) || url.startsWith(each.url)),
    );
    if (other) {
      const how =
        other.url === url
          ? `is the backup storage '${other.name}' already`
          : `overlaps with ${other.url} of backup storage '${other.name}'`;
      throw new IngotError('SYS.1007', `'prefix' ${url} ${how}`, { opaque: { parameter: 'prefix' } });
    }
    return {
      url,
      endpoint: server,
      bucket: bucket ?? null,
      prefix: root === '' ? null : root.slice(0, -1),
      region: region ?? null,
      pathStyle: pathStyle ?? null,
      quota: quota ?? null,
    };
  },

  async open({ uuid, endpoint, bucket, prefix, region, pathStyle, quota }, secrets, { egress }) {
    const { s3BackupStorage } = await import('./driver.ts');
    return s3BackupStorage({
      uuid,
      endpoint: endpoint ?? '',
      bucket: bucket ?? '',
      prefix: prefix ?? '',
      region: region ?? '',
      pathStyle: pathStyle ?? true,
      accessKey: secrets.accessKey ?? '',
      secretKey: secrets.secretKey ?? '',
      egress,
      ...(quota !== null && { quota }),
    });
  },
};
