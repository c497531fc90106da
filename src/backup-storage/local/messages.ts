import { text } from '../../kernel/field.ts';
import { CREATION_PARAMETERS, defineMessage, inventoryOf } from '../../kernel/message.ts';
import { DESCRIPTION, NAME } from '../../kernel/properties.ts';
import { BackupStorage } from '../backup-storage.ts';

export const AddLocalBackupStorage = defineMessage({
  resource: BackupStorage,
  zstackPackage: 'org.zstack.header.storage.backup',
  name: 'AddLocalBackupStorage',
  doc: "Makes a directory of the service's machine a backup storage, attached to the default zone.",
  source: 'related-chapters.md, Backup storage',
  caller: 'admin',
  kind: 'job',
  route: 'POST /backup-storage/local',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    url: text('Absolute path of a directory; made if it does not exist, and otherwise empty.', {
      max: 2048,
      rule: { says: 'an absolute path such as /srv/images', test: (path) => path.startsWith('/') },
    }),
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(BackupStorage),
});
