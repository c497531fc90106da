import type { FastifyInstance } from 'fastify';
import type { Message } from '../kernel/message.ts';
import { documentationPage } from './documentation-page.ts';
import { openApiDocument } from './openapi.ts';
import { nativeOpenApiDocument } from './openapi-native.ts';

/** `/openapi.json` and `/v1/openapi.json` for programs, `/docs` for people; both from the declarations. */
export function addDocumentation(
  app: FastifyInstance,
  parts: { messages: readonly Message[]; version: string },
): void {
  const documents = {
    '/openapi.json': openApiDocument(parts.messages, parts.version),
    '/v1/openapi.json': nativeOpenApiDocument(parts.messages, parts.version),
  };
  const page = Buffer.from(documentationPage(parts.messages, parts.version));
  for (const [path, document] of Object.entries(documents)) {
    // As bytes, one for all who ask: a text would be turned into some for each.
    const text = Buffer.from(JSON.stringify(document));
    app.get(path, (_request, reply) =>
      reply.header('content-type', 'application/json;charset=utf-8').send(text),
    );
  }
  app.get('/docs', (_request, reply) =>
    reply
      .header('content-type', 'text/html;charset=utf-8')
      .header(
        'content-security-policy',
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      )
      .send(page),
  );
}
