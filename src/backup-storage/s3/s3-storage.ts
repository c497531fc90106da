import { boolean, bytes, text } from '../../kernel/field.ts';
import { declareKind } from '../declared-kind.ts';

export const S3Storage = declareKind({
  type: 'S3BackupStorage',
  doc: 'a prefix of a bucket on a server that speaks S3',
  fields: {
    endpoint: text('URL of the S3 server.', { optional: true, max: 1024, since: 'ingot' }),
    bucket: text('The bucket.', { optional: true, max: 255, since: 'ingot' }),
    prefix: text('What all its keys begin with, without slashes around it; none for the whole bucket.', {
      optional: true,
      max: 512,
      since: 'ingot',
    }),
    region: text('The region that requests are signed for.', { optional: true, max: 64, since: 'ingot' }),
    pathStyle: boolean("Whether the bucket stands in the path of a URL and not in the host's name.", {
      optional: true,
      since: 'ingot',
    }),
    quota: bytes('What may be put there, in bytes, as a bucket itself knows no end.', {
      optional: true,
      min: 1,
      since: 'ingot',
    }),
  },
});
