/**
 * A URL as it may be shown, kept and logged: with `***` in place of a password. What is no URL, as a mistyped one,
 * loses whatever could be one; without a password the text is left to the letter.
 */
export function maskedUrl(text: string): string {
  const url = URL.parse(text);
  if (!url?.host) return text.replace(/:(?!\/\/).*@/s, ':***@');
  if (!url.password) return text;
  url.password = '***';
  return url.href;
}
