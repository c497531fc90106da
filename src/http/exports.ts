/** `/exports/{key}/{name}`: exported images, for whoever knows the address. */
import type { FastifyInstance } from 'fastify';
import type { AnsweredFile } from '../kernel/message.ts';
import { HttpProblem } from './answers.ts';
import { sendFile } from './send-file.ts';

export function addExports(
  app: FastifyInstance,
  parts: { exportedFile: (key: string) => Promise<AnsweredFile | undefined> },
): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/exports/:key/:name',
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      // The name is for people: the key alone decides.
      const { key } = request.params as { key: string };
      const file = await parts.exportedFile(key);
      if (!file) throw new HttpProblem(404, 'SYS.1003', 'nothing is exported at this address, or no longer');
      return sendFile(file, request, reply);
    },
  });
}
