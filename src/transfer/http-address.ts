import { IngotError } from '../kernel/errors.ts';
import { maskedUrl } from '../kernel/masked-url.ts';

/** The address of an http or https source; rejects anything else with a sentence that names it. */
export function parseHttpUrl(text: string): URL {
  const url = URL.parse(text);
  if (!url) {
    throw new IngotError(
      'SYS.1007',
      `"${maskedUrl(text)}" is not a URL. Give one like http://server/path/image.qcow2.`,
    );
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new IngotError('SYS.1013', `${maskUrl(url)} can not be downloaded: only http and https are.`);
  }
  return url;
}

/** The URL as it may be shown and stored: with `***` in place of what is secret in it, and without its fragment. */
export function maskUrl(url: URL): string {
  const shown = new URL(url);
  shown.hash = '';
  return maskedUrl(shown.href);
}

/** The value of an Authorization header for the user name and password in the URL, if there are any. */
export function basicAuthorization(url: URL): string | undefined {
  if (!url.username && !url.password) return undefined;
  const pair = `${decoded(url.username)}:${decoded(url.password)}`;
  return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`;
}

const PORTS: Record<string, number> = { 'https:': 443, 'ftp:': 21, 'sftp:': 22 };

/** Host and port, e.g. `127.0.0.1:80`. */
export function hostAndPort(url: URL): string {
  return url.port ? url.host : `${url.host}:${portOf(url)}`;
}

/** The port that the URL leads to, named or not. */
export function portOf(url: URL): number {
  return Number(url.port) || (PORTS[url.protocol] ?? 80);
}

/** Part of a URL as its server knows it. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
