import { boolean, bytes, defaulted, optional, text, uuid } from '../../kernel/field.ts';
import { CREATION_PARAMETERS, defineMessage, defineQuery, inventoryOf } from '../../kernel/message.ts';
import { DESCRIPTION, NAME } from '../../kernel/properties.ts';
import { BackupStorage } from '../backup-storage.ts';

const about = {
  resource: BackupStorage,
  zstackPackage: 'org.zstack.storage.backup.s3',
  source: 'ingot, after zstack-api.md 3.1',
  caller: 'admin',
} as const;

const STORAGE = uuid('The backup storage.', { references: 'BackupStorage' });
const ENDPOINT = text('URL of the S3 server, e.g. https://s3.eu-central-1.amazonaws.com.', {
  max: 1024,
  rule: {
    says: 'a URL such as https://s3.example.org:9000, without path, user and password',
    test: (url) => /^https?:\/\/[^/?#@\s]+\/?$/.test(url) && URL.canParse(url),
  },
});
const REGION = text('The region that requests are signed for.', { max: 64 });
const PATH_STYLE = boolean(
  "Whether the bucket stands in the path of a URL, as most servers but Amazon's want it, and not in the host's name.",
);
const QUOTA = bytes('What may be put there, in bytes; 1 PiB where nothing is said.', { min: 1 });
const ACCESS_KEY = text('The access key.', { secret: true, max: 255 });
const SECRET_KEY = text('The secret that belongs to the access key.', { secret: true, max: 255 });

export const AddS3BackupStorage = defineMessage({
  ...about,
  name: 'AddS3BackupStorage',
  doc: 'Makes a bucket, or a prefix of one, a backup storage, attached to the default zone.',
  kind: 'job',
  route: 'POST /backup-storage/s3',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    endpoint: ENDPOINT,
    bucket: text('The bucket, which must be there.', {
      max: 255,
      rule: { says: 'a name without slashes', test: (name) => /^[\w.-]+$/.test(name) },
    }),
    prefix: text('What all keys shall begin with; nothing else may lie there. None: the whole bucket.', {
      optional: true,
      max: 512,
      rule: {
        says: "names with '/' between them, none of which is '.' or '..' or begins with '.ingot-'",
        test: (prefix) => prefix.split('/').every((name) => !/^(\.|\.\.|\.ingot-.*)$/.test(name)),
      },
    }),
    region: defaulted(REGION, 'us-east-1'),
    accessKey: ACCESS_KEY,
    secretKey: SECRET_KEY,
    pathStyle: defaulted(PATH_STYLE, true),
    quota: optional(QUOTA),
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(BackupStorage),
});

export const QueryS3BackupStorage = defineQuery(BackupStorage, {
  name: 'QueryS3BackupStorage',
  route: 'GET /backup-storage/s3',
  only: ['type=S3BackupStorage'],
  source: about.source,
  zstackPackage: about.zstackPackage,
});

export const UpdateS3BackupStorage = defineMessage({
  ...about,
  name: 'UpdateS3BackupStorage',
  doc: 'Changes how the server of an S3 backup storage is reached, and how much may be put there; it is connected anew at once.',
  kind: 'change',
  route: 'PUT /backup-storage/s3/{uuid}/actions',
  parameters: {
    uuid: STORAGE,
    name: optional(NAME),
    description: DESCRIPTION,
    endpoint: optional(ENDPOINT),
    region: optional(REGION),
    accessKey: optional(ACCESS_KEY),
    secretKey: optional(SECRET_KEY),
    pathStyle: optional(PATH_STYLE),
    quota: optional(QUOTA),
  },
  answer: inventoryOf(BackupStorage),
});

export const ReconnectS3BackupStorage = defineMessage({
  ...about,
  name: 'ReconnectS3BackupStorage',
  doc: 'Connects an S3 backup storage anew, and says why where that fails.',
  kind: 'job',
  route: 'PUT /backup-storage/s3/{uuid}/actions',
  parameters: { uuid: STORAGE },
  answer: inventoryOf(BackupStorage),
});
