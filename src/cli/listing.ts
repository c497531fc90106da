/** One inventory in two columns, names and values; what it holds of others indented below. */
import type { AnyField, Fields } from '../kernel/field.ts';
import { formatDuration, formatSize } from '../kernel/format.ts';
import type { Resource } from '../kernel/resource.ts';
import { displayWidth, pad } from './display-width.ts';
import { printable } from './terminal.ts';

type Members = Readonly<Record<string, unknown>>;

/** A value in one line; `exact` keeps the number beside a rounded size. Empty where there is no value. */
export function formatValue(
  field: AnyField | undefined,
  value: unknown,
  { exact }: { exact: boolean },
): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) {
    return value
      .map((item) => formatValue(field?.kind === 'list' ? field.element : undefined, item, { exact }))
      .join(', ');
  }
  if (typeof value === 'number' && field?.kind === 'integer') {
    if (field.unit === 'bytes') return withExact(formatSize(value), value, exact && value >= 1024);
    if (field.unit === 'seconds') return formatDuration(value * 1000);
    if (field.unit === 'percent') return `${value} %`;
  }
  return printable(typeof value === 'object' ? JSON.stringify(value) : String(value));
}

function withExact(text: string, value: number, exact: boolean): string {
  return exact ? `${text} (${value} bytes)` : text;
}

/** The members in the order of the declaration, then whatever else is there. */
export function renderListing(of: Resource | Fields, members: Members, margin = ''): string {
  const resource = isResource(of) ? of : undefined;
  const fields: Fields = resource ? resource.fields : (of as Fields);
  const names = [
    ...Object.keys(fields).filter((name) => members[name] !== undefined),
    ...Object.keys(members).filter((name) => !Object.hasOwn(fields, name)),
  ];
  const width = names.reduce((most, name) => Math.max(most, displayWidth(name)), 0) + 2;
  return names
    .map((name) => {
      const value = members[name];
      const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
      const inner = resource?.relations[name]?.to;
      if (Array.isArray(value) && value.some(isObject))
        return `${margin}${name}\n${nested(inner, value, margin)}`;
      if (isObject(value)) return `${margin}${name}\n${renderListing(inner ?? {}, value, `${margin}    `)}`;
      return `${margin}${pad(printable(name), width)}${formatValue(field, value, { exact: true })}`.trimEnd();
    })
    .join('\n');
}

function nested(resource: Resource | undefined, items: readonly unknown[], margin: string): string {
  return items
    .map((item) => {
      if (!isObject(item)) return `${margin}  - ${formatValue(undefined, item, { exact: true })}`;
      const block = renderListing(resource ?? {}, item, `${margin}    `);
      return `${margin}  - ${block.slice(margin.length + 4)}`;
    })
    .join('\n');
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isResource(of: Resource | Fields): of is Resource {
  return 'relations' in of && 'table' in of;
}
