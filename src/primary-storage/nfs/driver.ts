/**
 * A primary storage on an NFS server, which this service mounts itself, again whenever it is not there; or, where the
 * url is a path, that somebody else mounts.
 */
import type { PrimaryStorageDriver } from '../driver.ts';
import { localPrimaryStorage } from '../local/driver.ts';
import { mountNfs } from './mount.ts';
import { NFS_URL } from './url.ts';

export function nfsPrimaryStorage(options: {
  root: string;
  uuid: string;
  url: string;
}): PrimaryStorageDriver {
  const files = localPrimaryStorage(options);
  return {
    ...files,
    async ping() {
      if (NFS_URL.test(options.url)) await mountNfs(options.url, options.root);
      await files.ping();
    },
  };
}
