import { Server } from '@tus/server';
import type { Uploads } from '../image/upload/uploads.ts';
import type { Log } from '../kernel/log.ts';
import { UploadLocks } from './upload-locks.ts';
import { UploadStore } from './upload-store.ts';

/** The tus protocol's own server, for uploads at `path/{key}`. */
export function uploadServer(path: string, parts: { uploads: Uploads; log: Log }): Server {
  return new Server({
    path,
    datastore: new UploadStore(parts),
    locker: new UploadLocks(),
    // Right behind any proxy.
    relativeLocation: true,
    // A client that wants to create an upload is shown the one whose address it has.
    namingFunction: (request) => keyIn(request.url),
  });
}

function keyIn(url: string | undefined): string {
  return /\/([^/?]+)\/?(?:\?.*)?$/.exec(url ?? '')?.[1] ?? '';
}
