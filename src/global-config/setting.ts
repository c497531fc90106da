/** A setting that can be changed while the service runs: declared once, by the folder that it is about. */
import type { AnyField, Field, ValueOf } from '../kernel/field.ts';
import { parseValue } from '../kernel/parse.ts';

export interface Setting<T = unknown> {
  readonly category: string;
  readonly name: string;
  readonly default: T;
  readonly doc: string;
  /** The value that a text stands for; SYS.1007 where it is none. */
  read(text: string): T;
}

/** `field` says what it means, its default, and which values are good. */
export function defineSetting<F extends Field<unknown, 'defaulted'>>(
  category: string,
  name: string,
  field: F,
): Setting<ValueOf<F>> {
  return Object.freeze({
    category,
    name,
    doc: describe(field),
    default: field.default as ValueOf<F>,
    read: (text: string) => parseValue(`${category}/${name}`, field, text) as ValueOf<F>,
  });
}

function describe(field: AnyField): string {
  if (field.kind === 'choice') {
    const choices = Object.entries(field.choices).map(([value, meaning]) => `${value}: ${meaning}`);
    return `${field.doc} ${choices.join('; ')}.`;
  }
  if (field.kind === 'integer' && field.unit === 'seconds') return `${field.doc} In seconds.`;
  return field.doc;
}
