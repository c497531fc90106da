/** What names of query members end in where they are secrets: those of presigned URLs, and the usual ones. */
const SECRET_ENDINGS = /(?:signature|credentials?|token|secret|passw(?:or)?d|api_?key|access_?key(?:_?id)?)$/;
const SECRET_NAMES = new Set([
  'sig',
  'sign',
  'pass',
  'pwd',
  'auth',
  'authorization',
  'key',
  'googleaccessid',
]);

/**
 * A URL as it may be shown, kept and logged: with `***` in place of a password and of what presigned URLs carry. What
 * is no URL, as a mistyped one, loses whatever could be one; without a secret the text is left to the letter.
 */
export function maskedUrl(text: string): string {
  const url = URL.parse(text);
  if (!url?.host) return withMaskedQuery(text.replace(/:(?!\/\/).*@/s, ':***@'));
  if (!url.password) return withMaskedQuery(text);
  url.password = '***';
  return withMaskedQuery(url.href);
}

function withMaskedQuery(text: string): string {
  return text.replace(/([?&;])([^=&;#?]+)=([^&;#]+)/g, (member, before: string, name: string) =>
    isSecret(decoded(name)) ? `${before}${name}=***` : member,
  );
}

function isSecret(name: string): boolean {
  const plain = name.toLowerCase().replaceAll('-', '_');
  return SECRET_ENDINGS.test(plain) || SECRET_NAMES.has(plain);
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
