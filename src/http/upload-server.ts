import { Server } from '@tus/server';
import type { Uploads } from '../image/upload/uploads.ts';
import type { Log } from '../kernel/log.ts';
import { UploadLocks } from './upload-locks.ts';
import { UploadStore } from './upload-store.ts';

/** The tus protocol's own server, for uploads at `path/{key}`. */
export function uploadServer(path: string, parts: { uploads: Uploads; log: Log }): Server {
  const server = new Server({
    path,
    datastore: new UploadStore(parts),
    locker: new UploadLocks(),
    // Right behind any proxy.
    relativeLocation: true,
    // A client that wants to create an upload is shown the one whose address it has.
    namingFunction: (request) => keyIn(request.url),
  });
  refuseOtherOrigins(server);
  return server;
}

/**
 * The library lets the pages of any origin read its answers, or of those that are named to it, and has no option for
 * none. All its answers come out of one method, which is not meant for us.
 */
function refuseOtherOrigins(server: Server): void {
  const inner = server as unknown as { handler(request: Request): Promise<Response> };
  const answer = inner.handler.bind(server);
  inner.handler = async (request) => {
    const response = await answer(request);
    for (const name of [...response.headers.keys()]) {
      if (name.startsWith('access-control-')) response.headers.delete(name);
    }
    return response;
  };
}

function keyIn(url: string | undefined): string {
  return /\/([^/?]+)\/?(?:\?.*)?$/.exec(url ?? '')?.[1] ?? '';
}
