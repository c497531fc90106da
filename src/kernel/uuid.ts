import { randomUUID } from 'node:crypto';

/** A new resource uuid: v4, lower case, hyphens stripped (related-chapters.md, Resources in general). */
export function newUuid(): string {
  return randomUUID().replaceAll('-', '');
}

/** True for 32 lower-case hex digits with a version and a variant where RFC 9562 puts them. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{12}[1-5][0-9a-f]{3}[89ab][0-9a-f]{15}$/.test(text);
}
