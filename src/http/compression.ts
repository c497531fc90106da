import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { FastifyInstance } from 'fastify';

const compress = promisify(gzip);

/** The fastest one: most clients are near. */
const LEVEL = 1;

/** Smaller answers gain nothing. In bytes. */
const LEAST = 1024;

/**
 * Answers are compressed with gzip, and only for who names it: ZStack's Go client sends `Accept-Encoding: *` and
 * understands nothing newer.
 */
export function addCompression(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) return payload;
    reply.header('vary', 'accept-encoding');
    if (payload.length < LEAST || !namesGzip(request.headers['accept-encoding'])) return payload;
    const compressed = await compress(payload, { level: LEVEL });
    reply.header('content-encoding', 'gzip').header('content-length', compressed.length);
    return compressed;
  });
}

function namesGzip(accepted: string | string[] | undefined): boolean {
  return [accepted ?? []].flat().some((header) =>
    header.split(',').some((item) => {
      const [coding = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
      return coding === 'gzip' && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    }),
  );
}
