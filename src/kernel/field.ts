/**
 * Fields: what a resource's inventory and a message's parameters are made of. A field is data; the table's
 * column, the TypeScript type, the check of a value, the JSON schema, the command line's completion and the
 * documentation are all derived from it.
 */

/** Whether a value may be left out; with a default, a handler always sees one. */
export type Presence = 'required' | 'optional' | 'defaulted';

interface FieldTraits {
  /** One sentence for people, without the field's name. */
  doc: string;
  /** Version of the manual that has it; `ingot` for what goes beyond the manual. */
  since: string;
  /** Must not be logged, kept in a job's row or in a shell's history. */
  secret: boolean;
  /** A URL, which may carry a password: it is shown masked, and kept whole only as long as it is needed. */
  url?: boolean;
  /** Name of the resource whose uuid the value is. */
  references?: string;
  /** What a caller who is no administrator must be allowed to do with it; see `accessOf`. */
  access?: Access;
  /** What separates good from bad values, as its error says it: "an absolute path". */
  rule?: Rule;
}

/** `use`: it is his or shared with him. `change`: it is his. */
export type Access = 'use' | 'change';

export interface Rule {
  test(value: string): boolean;
  /** Completes "… must be". */
  says: string;
}

interface TextField extends FieldTraits {
  kind: 'text';
  /** Characters (code points). */
  min: number;
  max: number;
}
interface UuidField extends FieldTraits {
  kind: 'uuid';
}
interface IntegerField extends FieldTraits {
  kind: 'integer';
  min: number;
  max: number;
  /** `bytes` are shown in binary units and may be given as `10G`. */
  unit?: 'bytes' | 'seconds' | 'percent' | 'count';
}
interface BooleanField extends FieldTraits {
  kind: 'boolean';
}
interface DateField extends FieldTraits {
  /** Milliseconds since 1970 inside; each wire has its own form. */
  kind: 'date';
}
interface ChoiceField extends FieldTraits {
  kind: 'choice';
  /** Value → what it means. */
  choices: Readonly<Record<string, string>>;
  /** Accepted spelling → the value it stands for. */
  aliases: Readonly<Record<string, string>>;
}
interface JsonField extends FieldTraits {
  /** A JSON value, kept as text in the table. */
  kind: 'json';
}
interface ListField extends FieldTraits {
  kind: 'list';
  element: ScalarField;
  minItems: number;
  maxItems: number;
}

export type ScalarField =
  | TextField
  | UuidField
  | IntegerField
  | BooleanField
  | DateField
  | ChoiceField
  | JsonField;
export type AnyField = ScalarField | ListField;

declare const valueType: unique symbol;

/** A field whose values are of type T. */
export type Field<T = unknown, P extends Presence = Presence> = AnyField & {
  readonly presence: P;
  readonly default?: T;
  readonly [valueType]?: T;
};

export type Fields = Readonly<Record<string, Field>>;

export type ValueOf<F> = F extends { readonly [valueType]?: infer T } ? Exclude<T, undefined> : never;

interface Common<T> {
  since?: string;
  secret?: boolean;
  url?: boolean;
  references?: string;
  access?: Access;
  rule?: Rule;
  optional?: boolean;
  default?: T;
}

type PresenceOf<O> = O extends { optional: true }
  ? 'optional'
  : O extends { default: unknown }
    ? 'defaulted'
    : 'required';

type Shape<F> = F extends unknown ? Omit<F, keyof FieldTraits> : never;

function make<T, O extends Common<T>>(
  kind: Shape<AnyField>,
  doc: string,
  options: O,
): Field<T, PresenceOf<O>> {
  const presence: Presence = options.optional
    ? 'optional'
    : options.default !== undefined
      ? 'defaulted'
      : 'required';
  return {
    ...kind,
    doc,
    since: options.since ?? '0.6',
    secret: options.secret ?? false,
    ...(options.url && { url: true }),
    ...(options.references !== undefined && { references: options.references }),
    ...(options.access !== undefined && { access: options.access }),
    ...(options.rule !== undefined && { rule: options.rule }),
    ...(options.default !== undefined && { default: options.default }),
    presence,
  } as Field<T, PresenceOf<O>>;
}

/** A line or a few of text, 1 to `max` characters; `min: 0` lets it be empty. */
export function text<const O extends Common<string> & { min?: number; max?: number }>(
  doc: string,
  options: O = {} as O,
) {
  return make<string, O>({ kind: 'text', min: options.min ?? 1, max: options.max ?? 255 }, doc, options);
}

/** 32 lower-case hex digits of a v4 uuid. */
export function uuid<const O extends Common<string>>(doc: string, options: O = {} as O) {
  return make<string, O>({ kind: 'uuid' }, doc, options);
}

export function integer<
  const O extends Common<number> & { min?: number; max?: number; unit?: 'seconds' | 'percent' | 'count' },
>(doc: string, options: O = {} as O) {
  return make<number, O>(
    {
      kind: 'integer',
      min: options.min ?? 0,
      max: options.max ?? Number.MAX_SAFE_INTEGER,
      ...(options.unit && { unit: options.unit }),
    },
    doc,
    options,
  );
}

/** A size in bytes. */
export function bytes<const O extends Common<number> & { min?: number }>(doc: string, options: O = {} as O) {
  return make<number, O>(
    { kind: 'integer', min: options.min ?? 0, max: Number.MAX_SAFE_INTEGER, unit: 'bytes' },
    doc,
    options,
  );
}

export function boolean<const O extends Common<boolean>>(doc: string, options: O = {} as O) {
  return make<boolean, O>({ kind: 'boolean' }, doc, options);
}

export function date<const O extends Common<number>>(doc: string, options: O = {} as O) {
  return make<number, O>({ kind: 'date' }, doc, options);
}

/** One of the given values. `aliases` are taken too and stored as what they stand for. */
export function choice<
  const C extends Readonly<Record<string, string>>,
  const O extends Common<Extract<keyof C, string>> & { aliases?: Readonly<Record<string, string>> },
>(doc: string, choices: C, options: O = {} as O) {
  return make<Extract<keyof C, string>, O>(
    { kind: 'choice', choices, aliases: options.aliases ?? {} },
    doc,
    options,
  );
}

export function json<T, const O extends Common<T> = Common<T>>(doc: string, options: O = {} as O) {
  return make<T, O>({ kind: 'json' }, doc, options);
}

export function list<F extends Field, const O extends Common<ValueOf<F>[]> & { min?: number; max?: number }>(
  doc: string,
  element: F,
  options: O = {} as O,
) {
  return make<ValueOf<F>[], O>(
    {
      kind: 'list',
      element: element as ScalarField,
      minItems: options.min ?? 1,
      maxItems: options.max ?? 1000,
    },
    doc,
    options,
  );
}

/** The same field where it may be left out, e.g. in an update: no default, absent means unchanged. */
export function optional<T>(field: Field<T>, doc: string = field.doc): Field<T, 'optional'> {
  const { default: _, ...rest } = field;
  return { ...rest, doc, presence: 'optional' } as Field<T, 'optional'>;
}

/** The same field with what a creating call assumes when it is left out. */
export function defaulted<T>(field: Field<T>, value: T): Field<T, 'defaulted'> {
  return { ...field, presence: 'defaulted', default: value } as Field<T, 'defaulted'>;
}
