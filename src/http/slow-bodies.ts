/** Bodies that don't come to their end: Node's own limit for them would hold for uploads too. */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';

/**
 * `patience`: how long a body may take, in milliseconds. Routes that may take longer have `config: { slow: true }`; what
 * is left of their bodies when they have answered may take so long then.
 */
export function guardBodies(app: FastifyInstance, patience: number): void {
  app.addHook('onRequest', async ({ raw, routeOptions }, reply) => {
    if ((routeOptions.config as { slow?: boolean }).slow) {
      reply.raw.once('close', () => limitBody(raw, patience));
    } else limitBody(raw, patience);
  });
}

/** Hangs up where the body is not whole in that many milliseconds, also when the call has been answered before. */
export function limitBody(request: IncomingMessage, patience: number): void {
  const { headers, socket } = request;
  const { 'content-length': length = '0', 'transfer-encoding': coding } = headers;
  if (request.complete || socket.destroyed || (length === '0' && coding === undefined)) return;
  const done = () => {
    clearTimeout(late);
    request.off('end', done);
    socket.off('close', done);
  };
  const late = setTimeout(() => {
    done();
    // Until the body is whole, the connection serves no other call.
    if (!request.complete) socket.destroy();
  }, patience);
  request.once('end', done);
  socket.once('close', done);
}
