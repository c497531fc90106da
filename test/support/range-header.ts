import type { IncomingHttpHeaders } from 'node:http';

/** Bytes [start, end). */
export interface Range {
  start: number;
  end: number;
}

interface Subject {
  /** Bytes. */
  size: number;
  etag: string | undefined;
  lastModified: string | undefined;
}

/**
 * The range that a request's Range and If-Range ask for (RFC 9110, 13.1.5 and 14.2). Undefined when the whole is
 * to be sent: no range, one that isn't understood, several, or one of a file that isn't there any more.
 */
export function parseRange(
  headers: IncomingHttpHeaders,
  subject: Subject,
): Range | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? '');
  if (!match || match[0] === 'bytes=-') return undefined;
  const condition = headers['if-range'];
  // A weak validator never matches here.
  const current = [subject.etag?.startsWith('W/') ? undefined : subject.etag, subject.lastModified];
  if (condition !== undefined && !current.includes(String(condition))) return undefined;

  const [first, last] = [match[1], match[2]];
  if (!first) {
    const length = Math.min(Number(last), subject.size);
    return length > 0 ? { start: subject.size - length, end: subject.size } : 'unsatisfiable';
  }
  const start = Number(first);
  const end = last ? Math.min(Number(last) + 1, subject.size) : subject.size;
  if (last && Number(last) < start) return undefined;
  return start < subject.size ? { start, end } : 'unsatisfiable';
}
