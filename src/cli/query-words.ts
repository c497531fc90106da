/** The words of a query: conditions and the query's own parameters (zstack-api.md 7.3). */
import type { Message } from '../kernel/message.ts';
import { usageError } from './exit-codes.ts';

// Leftmost operator, longest match there, as the service reads it.
const CONDITION = /^([A-Za-z_][A-Za-z0-9_.]*)(!\?=|!~=|\?=|~=|!=|>=|<=|=|>|<)([\s\S]*)$/;

/** Operators as they are typed, for the help and for completion. */
export const TYPED_OPERATORS = {
  '=': 'is; =null: has no value',
  '!=': 'is not; !=null: has a value',
  '>': 'is greater than',
  '>=': 'is at least',
  '<': 'is less than',
  '<=': 'is at most',
  '?=': 'is one of a,b,c',
  '!?=': 'is none of a,b,c',
  '~=': 'contains, or matches with % (any text) and _ (any character)',
  '!~=': 'does not contain or match',
} as const;

/** Taken and of no effect, as everywhere. */
const WITHOUT_EFFECT = new Set(['timeout', 'filterName', 'groupBy']);

export interface QueryWords {
  /** Written, as `name~=%cent%`, or in parts. */
  conditions: unknown[];
  parameters: Record<string, string>;
}

export function readQueryWords(message: Message, words: readonly string[]): QueryWords {
  const query: QueryWords = { conditions: [], parameters: {} };
  for (const word of words) {
    const match = CONDITION.exec(word);
    if (!match) {
      throw usageError(
        `'${word}' is neither a condition nor a parameter of ${message.name}`,
        'Conditions are written as name=value, size>10G, name~=text, uuid?=a,b or description=null.',
      );
    }
    const [, name = '', operator = '', value = ''] = match;
    if (operator === '=' && name === 'conditions') query.conditions.push(...conditionList(value));
    else if (operator === '=' && Object.hasOwn(message.parameters, name)) query.parameters[name] = value;
    else if (operator !== '=' || !WITHOUT_EFFECT.has(name))
      query.conditions.push(condition(name, operator, value));
  }
  return query;
}

function condition(name: string, operator: string, value: string): string {
  if (operator === '=' && value === 'null') return `${name} is null`;
  if (operator === '!=' && value === 'null') return `${name} is not null`;
  const isPattern = operator.endsWith('~=');
  return `${name}${operator}${isPattern && !/[%_]/.test(value) ? `%${value}%` : value}`;
}

/** `conditions=[{"name":"state","op":"=","value":"Enabled"}]`, or a list of written conditions; the client looks at them. */
function conditionList(text: string): unknown[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    list = undefined;
  }
  if (!Array.isArray(list)) {
    throw usageError(
      `conditions must be a JSON list, but is ${text}`,
      `As in conditions='[{"name":"state","op":"=","value":"Enabled"}]'; simpler: state=Enabled.`,
    );
  }
  return list;
}
