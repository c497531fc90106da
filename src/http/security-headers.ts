import type { FastifyRequest } from 'fastify';

/**
 * What every answer says: which call it belongs to, and that nothing here is to be framed, guessed at, kept by caches
 * or told to others.
 */
export function alwaysSaid({ id, protocol }: FastifyRequest): Record<string, string> {
  return {
    'x-request-id': id,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cache-control': 'no-store',
    ...(protocol === 'https' && { 'strict-transport-security': 'max-age=31536000' }),
  };
}
