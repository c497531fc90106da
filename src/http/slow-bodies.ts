/** Bodies that don't come to their end: Node's own limit for them would hold for uploads too. */
import type { FastifyInstance } from 'fastify';

/** `patience`: how long a body may take, in milliseconds. Routes that may take longer have `config: { slow: true }`. */
export function guardBodies(app: FastifyInstance, patience: number): void {
  app.addHook('onRequest', async (request, reply) => {
    const { headers, raw } = request;
    const { 'content-length': length = '0', 'transfer-encoding': coding } = headers;
    if (length === '0' && coding === undefined) return;
    if ((request.routeOptions.config as { slow?: boolean }).slow) return;
    const late = setTimeout(() => raw.destroy(), patience);
    const done = () => clearTimeout(late);
    raw.once('end', done);
    // The connection may serve other calls by then.
    reply.raw.once('close', done);
  });
}
