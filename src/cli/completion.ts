/** Tab: what can stand where the cursor is, from the declarations. */
import type { AnyField } from '../kernel/field.ts';
import type { Message } from '../kernel/message.ts';
import type { Relation, Resource } from '../kernel/resource.ts';
import { localParameters } from './local-files.ts';
import { TYPED_OPERATORS } from './query-words.ts';

export interface Completion {
  /** The end of the line that a candidate replaces. */
  typed: string;
  candidates: string[];
}

const NONE: Completion = { typed: '', candidates: [] };
const OPERATORS = Object.keys(TYPED_OPERATORS);

/** `line` is what stands before the cursor; `commands` are the words besides the calls. */
export function complete(
  messages: readonly Message[],
  commands: readonly string[],
  line: string,
): Completion {
  const [first, ...others] = line.trimStart().split(/\s+/);
  const names = messages.map((message) => message.name);
  if (others.length === 0) {
    return words(
      first ?? '',
      [...names, ...commands].map((name) => ({ text: name, end: ' ' })),
    );
  }
  const typed = others.pop() ?? '';
  if (first === 'help')
    return others.length > 0
      ? NONE
      : words(
          typed,
          names.map((name) => ({ text: name, end: ' ' })),
        );
  const message = messages.find((each) => each.name === first);
  if (!message) return NONE;
  return message.query && message.resource
    ? queryWord(message, message.resource, typed)
    : parameterWord(message, others, typed);
}

interface Candidate {
  text: string;
  /** Put behind it when it is the only one. */
  end: string;
}

/** Those that begin with what was typed; where none does, those that hold it. */
function words(typed: string, known: readonly Candidate[]): Completion {
  const wanted = typed.toLowerCase();
  const beginning = known.filter(({ text }) => text.toLowerCase().startsWith(wanted));
  const found =
    beginning.length > 0 ? beginning : known.filter(({ text }) => text.toLowerCase().includes(wanted));
  const [only] = found;
  if (found.length === 1 && only) return { typed, candidates: [only.text + only.end] };
  return { typed, candidates: found.map(({ text }) => text).sort() };
}

function parameterWord(message: Message, given: readonly string[], typed: string): Completion {
  const at = typed.indexOf('=');
  if (at < 0) {
    const all = { ...message.parameters, ...localParameters(message) };
    const names = Object.keys(all).filter((name) => !given.some((word) => word.startsWith(`${name}=`)));
    return words(
      typed,
      names.map((name) => ({ text: `${name}=`, end: '' })),
    );
  }
  const name = typed.slice(0, at);
  const field = Object.hasOwn(message.parameters, name) ? message.parameters[name] : undefined;
  return field ? value(field, typed.slice(at + 1)) : NONE;
}

/** What a value can be, where that is a short list. */
function value(field: AnyField, typed: string, more: readonly string[] = []): Completion {
  if (field.kind === 'list') return value(field.element, typed.slice(typed.lastIndexOf(',') + 1), more);
  const known =
    field.kind === 'choice' ? Object.keys(field.choices) : field.kind === 'boolean' ? ['true', 'false'] : [];
  return words(
    typed,
    [...known, ...more].map((text) => ({ text, end: ' ' })),
  );
}

const QUERY_WORD = /^([A-Za-z_][\w.]*)(!\?=|!~=|\?=|~=|!=|>=|<=|=|>|<)(.*)$/;

function queryWord(message: Message, resource: Resource, typed: string): Completion {
  const [, name = '', operator = '', written = ''] = QUERY_WORD.exec(typed) ?? [];
  if (operator === '') return fieldName(message, resource, typed);
  if (operator === '=' && Object.hasOwn(message.parameters, name)) {
    return queryParameter(message, resource, name, written);
  }
  const field = fieldAt(resource, name);
  if (!field) return NONE;
  const last = operator.endsWith('?=') ? written.slice(written.lastIndexOf(',') + 1) : written;
  const canBeNull = field.presence === 'optional' && /^!?=$/.test(operator);
  return value(field, last, canBeNull ? ['null'] : []);
}

function queryParameter(message: Message, resource: Resource, name: string, written: string): Completion {
  const fields = Object.keys(resource.fields);
  if (name === 'sortBy')
    return words(
      written,
      fields.map((text) => ({ text, end: ' ' })),
    );
  if (name === 'fields') {
    const given = written.split(',');
    const typed = given.pop() ?? '';
    return words(
      typed,
      fields.filter((each) => !given.includes(each)).map((text) => ({ text, end: '' })),
    );
  }
  const field = message.parameters[name];
  return field ? value(field, written) : NONE;
}

/** A field, the way to one, or a parameter of the query; behind a whole field's name, the operators. */
function fieldName(message: Message, from: Resource, typed: string): Completion {
  const dot = typed.lastIndexOf('.');
  const path = typed.slice(0, dot + 1);
  const at = path === '' ? from : resourceAt(from, path.slice(0, -1).split('.'));
  if (!at) return NONE;
  const last = typed.slice(dot + 1);
  if (Object.hasOwn(at.fields, last)) {
    return { typed, candidates: OPERATORS.map((operator) => typed + operator) };
  }
  const plucked = (relation: Relation) => relation.inventory?.pluck !== undefined;
  const candidates: Candidate[] = [
    ...Object.keys(at.fields).map((text) => ({ text, end: '' })),
    ...Object.entries(at.relations).map(([text, relation]) => ({
      text: plucked(relation) ? text : `${text}.`,
      end: '',
    })),
    ...Object.keys(at.aliases).map((text) => ({ text: `${text}.`, end: '' })),
    ...(path === ''
      ? Object.keys(message.parameters)
          .filter((name) => name !== 'conditions')
          .map((name) => ({ text: `${name}=`, end: '' }))
      : []),
  ];
  return words(last, candidates);
}

function fieldAt(from: Resource, path: string) {
  const names = path.split('.');
  const last = names.pop() ?? '';
  const at = resourceAt(from, names);
  return at && Object.hasOwn(at.fields, last) ? at.fields[last] : undefined;
}

function resourceAt(from: Resource, names: readonly string[]): Resource | undefined {
  let at: Resource | undefined = from;
  for (const name of names) {
    for (const step of (at && Object.hasOwn(at.aliases, name) ? at.aliases[name] : undefined) ?? [name]) {
      at = at && Object.hasOwn(at.relations, step) ? at.relations[step]?.to : undefined;
    }
  }
  return at;
}
