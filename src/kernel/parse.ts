/**
 * From what came over a wire to a message's parameters: checked, with defaults, or an error that names the
 * parameter, what was wrong and with which value. Every wire sends its own shapes (real numbers, or all
 * scalars as text, lists as text with commas), so values are taken in each form that is unambiguous.
 */
import { IngotError } from './errors.ts';
import type { AnyField, Field, Fields } from './field.ts';
import { maskedUrl } from './masked-url.ts';
import type { Values } from './message.ts';
import { didYouMean } from './nearest.ts';
import { isUuid } from './uuid.ts';

/** Members that ZStack's clients send inside the parameters, and that mean nothing here. */
const IGNORED = new Set(['null', 'requestIp', 'session', 'timeout', 'tagUuids', 'sessionId', 'apiTimeout']);

/** Throws SYS.1007 for the first parameter that is not right. */
export function parseParameters<F extends Fields>(
  messageName: string,
  fields: F,
  input: Record<string, unknown>,
): Values<F> {
  for (const name of Object.keys(input)) {
    if (!Object.hasOwn(fields, name) && !IGNORED.has(name)) {
      throw new IngotError(
        'SYS.1007',
        `${messageName} has no parameter ${show(name)}${didYouMean(name.slice(0, 120), Object.keys(fields))}`,
        { opaque: { parameter: name.slice(0, 120) } },
      );
    }
  }
  const result: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const value = parseField(name, field, Object.hasOwn(input, name) ? input[name] : undefined);
    if (value !== undefined) result[name] = value;
  }
  return result as Values<F>;
}

/** One value; undefined where it is absent and may be. Null and, where the field is optional, '' are absent. */
function parseField(name: string, field: Field, value: unknown): unknown {
  const empty = value === undefined || value === null || (field.presence !== 'required' && value === '');
  if (!empty) return parseValue(name, field, value);
  if (field.presence === 'required') throw invalid(name, `'${name}' is required: ${field.doc}`);
  return field.default;
}

/** A present value of the field, in its inner form. */
export function parseValue(name: string, field: AnyField, value: unknown): unknown {
  switch (field.kind) {
    case 'text':
      return parseText(name, field, value);
    case 'uuid': {
      const text = typeof value === 'string' ? value.trim() : value;
      if (typeof text === 'string' && isUuid(text)) return text;
      const hint =
        typeof text === 'string' && isUuid(text.toLowerCase().replaceAll('-', ''))
          ? `, lower case and without hyphens, as in ${text.toLowerCase().replaceAll('-', '')}`
          : ': 32 lower-case hex digits';
      throw invalid(name, `'${name}' must be a v4 uuid${hint}, but is ${show(value)}`);
    }
    case 'integer': {
      const number = parseNumber(value, field.unit === 'bytes');
      if (number === undefined)
        throw invalid(name, `'${name}' must be a whole number, but is ${show(value)}`);
      if (number < field.min || number > field.max) {
        const range =
          field.max === Number.MAX_SAFE_INTEGER
            ? `at least ${field.min}`
            : `from ${field.min} to ${field.max}`;
        throw invalid(name, `'${name}' must be ${range}, but is ${show(value)}`);
      }
      return number;
    }
    case 'boolean':
      if (value === true || value === false) return value;
      if (value === 'true') return true;
      if (value === 'false') return false;
      throw invalid(name, `'${name}' must be true or false, but is ${show(value)}`);
    case 'date': {
      const time = parseDate(value);
      if (time === undefined) throw invalid(name, `'${name}' must be a date, but is ${show(value)}`);
      return time;
    }
    case 'choice': {
      const text = typeof value === 'string' ? value.trim() : value;
      if (typeof text === 'string') {
        if (Object.hasOwn(field.choices, text)) return text;
        if (Object.hasOwn(field.aliases, text)) return field.aliases[text];
      }
      const known = Object.keys(field.choices);
      const hint = typeof text === 'string' ? didYouMean(text, known) : '';
      throw invalid(name, `'${name}' must be one of ${known.join(', ')}, but is ${show(value)}${hint}`);
    }
    case 'json':
      return value;
    case 'list': {
      const items = Array.isArray(value) ? value : typeof value === 'string' ? splitList(value) : undefined;
      if (items === undefined) throw invalid(name, `'${name}' must be a list, but is ${show(value)}`);
      if (items.length < field.minItems) {
        throw invalid(
          name,
          `'${name}' must have at least ${field.minItems} item${field.minItems > 1 ? 's' : ''}`,
        );
      }
      if (items.length > field.maxItems) {
        throw invalid(name, `'${name}' may have at most ${field.maxItems} items, but has ${items.length}`);
      }
      return items.map((item) => parseValue(name, field.element, item));
    }
  }
}

function parseText(name: string, field: Extract<AnyField, { kind: 'text' }>, value: unknown): string {
  if (typeof value !== 'string') throw invalid(name, `'${name}' must be text, but is ${show(value, field)}`);
  const text = value.trim();
  const length = [...text].length;
  if (length < field.min) {
    const least =
      field.min === 1 ? 'must not be empty' : `must have at least ${field.min} characters, but has ${length}`;
    throw invalid(name, `'${name}' ${least}`);
  }
  if (length > field.max) {
    throw invalid(name, `'${name}' may have at most ${field.max} characters, but has ${length}`);
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(text)) {
    throw invalid(name, `'${name}' must not hold control characters`);
  }
  // Half of a surrogate pair has no UTF-8, and would come back from the database as something else.
  if (!text.isWellFormed()) throw invalid(name, `'${name}' must be well-formed Unicode text`);
  if (field.rule && !field.rule.test(text)) {
    throw invalid(name, `'${name}' must be ${field.rule.says}, but is ${show(text, field)}`);
  }
  return text;
}

const UNITS: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40, P: 2 ** 50 };

/** A whole number from a JSON number or from text; sizes may carry a binary unit: `10G`, `512MiB`. */
export function parseNumber(value: unknown, withUnit: boolean): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const match = /^\s*([+-]?\d+(?:\.\d+)?)\s*(?:([KMGTP])(?:i?B)?|B)?\s*$/i.exec(value);
  if (!match) return undefined;
  const unit = (match[2] ?? '').toUpperCase();
  if (!withUnit && (unit !== '' || /[a-z.]/i.test(value))) return undefined;
  const number = Number(match[1]) * (UNITS[unit] ?? 1);
  return Number.isSafeInteger(number) ? number : undefined;
}

/** Milliseconds before and after 1970 that `Date` reaches; what is further away can't be shown as a date. */
const FURTHEST_DATE = 8.64e15;

/** Milliseconds since 1970 from a number of them, also as text, an ISO 8601 date, or ZStack's English form. */
export function parseDate(value: unknown): number | undefined {
  const time = typeof value === 'string' ? timeIn(value.trim()) : value;
  const isDate = typeof time === 'number' && Number.isInteger(time) && Math.abs(time) <= FURTHEST_DATE;
  return isDate ? time : undefined;
}

function timeIn(text: string): number | undefined {
  if (/^\d{10,}$/.test(text)) return Number(text);
  const isWritten = /^(\d{4}-\d\d-\d\d|[A-Z][a-z]{2} \d{1,2}, \d{4})/.test(text);
  return isWritten ? Date.parse(text) : undefined;
}

/** Splits at commas; a backslash keeps a comma (or a backslash) as it is. */
export function splitList(text: string): string[] {
  const items: string[] = [];
  let item = '';
  for (let i = 0; i < text.length; i++) {
    const next = text[i + 1];
    if (text[i] === '\\' && (next === ',' || next === '\\')) {
      item += next;
      i++;
    } else if (text[i] === ',') {
      items.push(item);
      item = '';
    } else item += text[i];
  }
  if (item !== '' || items.length > 0) items.push(item);
  return items.map((each) => each.trim()).filter((each, i, all) => each !== '' || i < all.length - 1);
}

function show(value: unknown, field?: AnyField): string {
  if (field?.secret) return "'***'";
  if (field?.url && typeof value === 'string') return show(maskedUrl(value));
  const text = typeof value === 'string' ? `'${value}'` : (JSON.stringify(value) ?? String(value));
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

function invalid(parameter: string, details: string): IngotError {
  return new IngotError('SYS.1007', details, { opaque: { parameter } });
}
