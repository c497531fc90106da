/** What every answer says: nothing here is to be framed, guessed at, kept by caches or told to others. */
export function securityHeaders(protocol: string): Record<string, string> {
  return {
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cache-control': 'no-store',
    ...(protocol === 'https' && { 'strict-transport-security': 'max-age=31536000' }),
  };
}
