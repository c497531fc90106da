/** Which bytes of a file a request wants, and on which condition (RFC 9110, 13 and 14). */
import type { IncomingHttpHeaders } from 'node:http';

export type Wanted =
  | { status: 200 | 206; start: number; end: number }
  | { status: 304 }
  | { status: 412 }
  | { status: 416 };

/** `etag` is a strong one, with its quotes. Several ranges at once are answered with the whole file, as may be. */
export function wantedBytes(headers: IncomingHttpHeaders, etag: string, size: number): Wanted {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch, 'if-range': ifRange, range } = headers;
  if (ifMatch !== undefined && !names(ifMatch, etag, false)) return { status: 412 };
  if (ifNoneMatch !== undefined && names(ifNoneMatch, etag, true)) return { status: 304 };
  const whole = { status: 200, start: 0, end: size } as const;
  // A date can't be compared: the file has none, only its digest.
  if (range === undefined || (ifRange !== undefined && String(ifRange).trim() !== etag)) return whole;
  const match = /^bytes\s*=\s*(?:(\d+)\s*-\s*(\d*)|-\s*(\d+))\s*$/i.exec(range);
  if (!match) return whole;
  const [, first, last, suffix] = match;
  if (suffix !== undefined) {
    const length = Math.min(Number(suffix), size);
    return length === 0 ? { status: 416 } : { status: 206, start: size - length, end: size };
  }
  const start = Number(first);
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  if (last !== '' && Number(last) < start) return whole;
  return start >= size ? { status: 416 } : { status: 206, start, end };
}

/** Whether the list of entity tags holds this one; `*` stands for any. */
function names(list: string, etag: string, weakly: boolean): boolean {
  if (list.trim() === '*') return true;
  return [...list.matchAll(/(W\/)?("[^"]*")/g)].some(
    ([, weak, tag]) => tag === etag && (weakly || weak === undefined),
  );
}

/** `attachment` under a name that no client can take for a path or for more headers. */
export function contentDisposition(name: string): string {
  const plain = name
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
    .replace(/[\u0000-\u001f\u007f/\\:*?"<>|]/g, '_')
    .replace(/^\.+/, '_')
    .trim();
  const ascii = plain.replace(/[^\x20-\x7e]|[%']/g, '_');
  const encoded = encodeURIComponent(plain.isWellFormed() ? plain : ascii).replace(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}
