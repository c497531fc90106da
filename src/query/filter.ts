/** From a query's parameters to the one expression that they mean. */
import { IngotError } from '../kernel/errors.ts';
import { parseCondition } from './condition.ts';
import type { Expression } from './expression.ts';
import { parseWhere } from './where.ts';

/** The most conditions of one query. */
const MOST_CONDITIONS = 10_000;

/** The conditions and the `where` of a query: all must hold. */
export function readFilter(conditions: readonly unknown[], where: string | undefined): Expression {
  if (conditions.length > MOST_CONDITIONS) throw tooMany(conditions.length);
  const parts: Expression[] = conditions.map((written) => ({
    kind: 'condition',
    condition: parseCondition(written),
  }));
  if (where !== undefined) parts.push(parseWhere(where, MOST_CONDITIONS - parts.length, tooMany));
  return parts.length === 1 && parts[0] ? parts[0] : { kind: 'all', parts };
}

function tooMany(found: number): IngotError {
  return new IngotError(
    'SYS.1007',
    `a query may have at most ${MOST_CONDITIONS} conditions, but this one has ${found === Number.POSITIVE_INFINITY ? 'more' : found}`,
    { elaboration: "Many values of one field are one condition: name in ('a', 'b', …), or name?=a,b." },
  );
}
