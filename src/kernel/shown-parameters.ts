/** A call's parameters as they may be kept, logged and shown to administrators. */
import type { Fields } from './field.ts';
import { maskedUrl } from './masked-url.ts';

const MASK = '***';

/** Secrets are `***`, URLs lose their passwords, and what is no parameter, such as a mistyped one, is not repeated. */
export function shownParameters(fields: Fields, given: Record<string, unknown>): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (!field || value === undefined || value === null) continue;
    const url = field.url || (field.kind === 'list' && field.element.url);
    if (field.secret || (field.kind === 'list' && field.element.secret)) shown[name] = MASK;
    else if (url) shown[name] = Array.isArray(value) ? value.map(masked) : masked(value);
    else shown[name] = value;
  }
  return shown;
}

const masked = (value: unknown) => (typeof value === 'string' ? maskedUrl(value) : MASK);
