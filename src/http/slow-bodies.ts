/** Bodies that don't come to their end: Node's own limit for them would hold for uploads too. */
import type { FastifyInstance } from 'fastify';

/** How long a body may take, in milliseconds. */
const PATIENCE = 60_000;

/** Routes that may take longer have `config: { slow: true }`. */
export function guardBodies(app: FastifyInstance): void {
  app.addHook('onRequest', async (request) => {
    const { headers, raw } = request;
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return;
    if ((request.routeOptions.config as { slow?: boolean }).slow) return;
    const late = setTimeout(() => raw.destroy(), PATIENCE);
    const done = () => clearTimeout(late);
    raw.once('end', done).once('close', done);
  });
}
