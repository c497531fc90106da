import { boolean, defaulted, integer, optional, text, uuid } from '../../kernel/field.ts';
import { CREATION_PARAMETERS, defineMessage, defineQuery, inventoryOf } from '../../kernel/message.ts';
import { DESCRIPTION, NAME } from '../../kernel/properties.ts';
import { BackupStorage } from '../backup-storage.ts';

const zstackPackage = 'org.zstack.storage.backup.sftp';
const about = {
  resource: BackupStorage,
  zstackPackage,
  source: 'zstack-api.md 3.1',
  caller: 'admin',
} as const;

const STORAGE = uuid('The backup storage.', { references: 'BackupStorage' });
const HOSTNAME = text('Name or address of its server.', {
  max: 255,
  rule: {
    says: 'a host name or an address, without user and port',
    test: (name) => /^(?!-)[\w.-]+$|^[\da-f:.]+(%\w+)?$/i.test(name),
  },
});
const USERNAME = text('Who logs in there.', { max: 255 });
const PORT = integer('Port of the SSH server.', { min: 1, max: 65_535 });
const LOG_IN = {
  password: text('The password of the user; not needed with a private key.', {
    optional: true,
    secret: true,
    max: 255,
  }),
  privateKey: text('A private key that the server accepts, in the form of OpenSSH or PEM.', {
    optional: true,
    secret: true,
    max: 32_768,
    since: 'ingot',
  }),
  passphrase: text('What the private key is encrypted with, where it is.', {
    optional: true,
    secret: true,
    max: 255,
    since: 'ingot',
  }),
} as const;

export const AddSftpBackupStorage = defineMessage({
  ...about,
  name: 'AddSftpBackupStorage',
  doc: 'Makes a directory of another machine a backup storage, over SSH and without a program of ours there.',
  kind: 'job',
  route: 'POST /backup-storage/sftp',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    url: text('Absolute path of a directory there; made if it does not exist, and otherwise empty.', {
      max: 2048,
      rule: { says: 'an absolute path such as /srv/images', test: (path) => path.startsWith('/') },
    }),
    hostname: HOSTNAME,
    username: USERNAME,
    sshPort: defaulted(PORT, 22),
    ...LOG_IN,
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(BackupStorage),
});

export const QuerySftpBackupStorage = defineQuery(BackupStorage, {
  name: 'QuerySftpBackupStorage',
  route: 'GET /backup-storage/sftp',
  only: ['type=SftpBackupStorage'],
  source: about.source,
  zstackPackage,
});

export const UpdateSftpBackupStorage = defineMessage({
  ...about,
  name: 'UpdateSftpBackupStorage',
  doc: 'Changes where an SFTP backup storage is and how to log in there; it is connected anew at once.',
  kind: 'change',
  route: 'PUT /backup-storage/sftp/{uuid}/actions',
  parameters: {
    uuid: STORAGE,
    name: optional(NAME),
    description: DESCRIPTION,
    hostname: optional(HOSTNAME),
    username: optional(USERNAME),
    sshPort: optional(PORT),
    ...LOG_IN,
  },
  answer: inventoryOf(BackupStorage),
});

export const ReconnectSftpBackupStorage = defineMessage({
  ...about,
  name: 'ReconnectSftpBackupStorage',
  doc: 'Connects an SFTP backup storage anew, and says why where that fails.',
  kind: 'job',
  route: 'PUT /backup-storage/sftp/{uuid}/actions',
  parameters: {
    uuid: STORAGE,
    acceptNewHostKey: boolean(
      "Take the server's key as it is now, and remember it: after its machine was set up anew.",
      { default: false, since: 'ingot' },
    ),
  },
  answer: inventoryOf(BackupStorage),
});
