import type { BackupStorageKind } from '../kind.ts';
import { usableDirectory } from './directory.ts';
import { localBackupStorage } from './driver.ts';
import { LocalStorage } from './local-storage.ts';

export const localKind: BackupStorageKind = {
  declared: LocalStorage,
  async place({ url }, { others, reserved, uuid }) {
    const local = others.filter((other) => other.type === LocalStorage.type);
    return { url: await usableDirectory(url, local, reserved, { again: uuid }) };
  },
  open: ({ url, uuid }) => localBackupStorage({ root: url, uuid }),
};
