/** `/uploads/{key}`: the tus protocol (tus.io), by its own server, for whoever was given the address. */
import { Server } from '@tus/server';
import type { FastifyInstance } from 'fastify';
import type { Uploads } from '../image/upload/uploads.ts';
import type { Log } from '../kernel/log.ts';
import { UploadLocks } from './upload-locks.ts';
import { UploadStore } from './upload-store.ts';

const PREFIX = '/uploads';

export function addUploads(app: FastifyInstance, parts: { uploads: Uploads; log: Log }): void {
  const tus = new Server({
    path: PREFIX,
    datastore: new UploadStore(parts),
    locker: new UploadLocks(),
    // Right behind any proxy.
    relativeLocation: true,
    // A client that wants to create an upload is shown the one whose address it has.
    namingFunction: (request) => keyIn(request.url),
  });
  void app.register(async (scope) => {
    // The bytes are for the protocol's server, which reads them itself.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _body, done) => done(null));
    scope.route({
      method: ['HEAD', 'PATCH', 'POST', 'DELETE', 'OPTIONS'],
      url: `${PREFIX}/:key`,
      exposeHeadRoute: false,
      config: { slow: true },
      handler: async (request, reply) => {
        reply.hijack();
        await tus.handle(request.raw, reply.raw);
      },
    });
  });
}

function keyIn(url: string | undefined): string {
  return /\/([^/?]+)\/?(?:\?.*)?$/.exec(url ?? '')?.[1] ?? '';
}
