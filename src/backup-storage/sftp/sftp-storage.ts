import { integer, text } from '../../kernel/field.ts';
import { declareKind } from '../declared-kind.ts';

export const SftpStorage = declareKind({
  type: 'SftpBackupStorage',
  doc: 'a directory of another machine, over SSH',
  fields: {
    hostname: text('Name or address of its server.', { optional: true, max: 255 }),
    username: text('Who logs in there.', { optional: true, max: 255 }),
    sshPort: integer('Port of the SSH server.', { optional: true, min: 1, max: 65_535 }),
    hostKey: text("Kind and fingerprint of its server's key, as it was seen first and must be ever after.", {
      optional: true,
      max: 255,
      since: 'ingot',
    }),
  },
});
