/** `/uploads/{key}`: the tus protocol (tus.io), by its own server, for whoever was given the address. */
import type { FastifyInstance } from 'fastify';
import type { Uploads } from '../image/upload/uploads.ts';
import type { Log } from '../kernel/log.ts';
import { alwaysSaid } from './security-headers.ts';

const PREFIX = '/uploads';

export function addUploads(app: FastifyInstance, parts: { uploads: Uploads; log: Log }): void {
  // Its library is loaded with the first request of one.
  let server: ReturnType<typeof openServer> | undefined;
  const openServer = async () => (await import('./upload-server.ts')).uploadServer(PREFIX, parts);
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
        for (const [name, value] of Object.entries(alwaysSaid(request))) reply.raw.setHeader(name, value);
        server ??= openServer();
        await (await server).handle(request.raw, reply.raw);
      },
    });
  });
}
