/** From an expression to its tests of columns, over relations: everything that can be wrong with it is found here. */
import type { Syntax } from '../database/syntax.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Field } from '../kernel/field.ts';
import { splitList } from '../kernel/parse.ts';
import type { Relation, Resource } from '../kernel/resource.ts';
import { prepareTest, type Test } from './compare.ts';
import type { Condition, Operator } from './condition.ts';
import { type Expression, type Place, pointAt } from './expression.ts';
import { resolvePath } from './path.ts';
import { MOST_TRIED, triedBytes } from './pattern.ts';

export type Resolved =
  | Leaf
  | { readonly kind: 'all' | 'any'; readonly parts: readonly Resolved[] }
  | { readonly kind: 'not'; readonly part: Resolved };

/** A row passes when, over the steps, a row can be reached that passes the test. */
export interface Leaf {
  readonly kind: 'leaf';
  readonly steps: readonly Relation[];
  /** The last step must lead to no row that passes. */
  readonly none: boolean;
  readonly column: string;
  readonly field: Field;
  readonly condition: Condition;
  readonly test: Test;
}

/** The most values that all conditions may name together: SQLite binds 32,766, PostgreSQL 65,535. */
const MOST_VALUES = 30_000;

/** The most relations that all paths may walk together: what a statement of so many joins takes to be planned. */
const MOST_STEPS = 256;

export function resolve(resource: Resource, expression: Expression, syntax: Syntax): Resolved {
  const count = valuesIn(expression);
  if (count > MOST_VALUES) {
    throw new IngotError(
      'SYS.1007',
      `the conditions name ${count} values, and a query may have at most ${MOST_VALUES}`,
    );
  }
  let steps = 0;
  let tried = 0;
  const visit = (at: Expression): Resolved => {
    if (at.kind === 'not') return { kind: 'not', part: visit(at.part) };
    if (at.kind !== 'condition') return { kind: at.kind, parts: at.parts.map(visit) };
    try {
      const leaf = resolveCondition(resource, at.condition, syntax);
      tried += triedBytes(leaf.condition);
      if (tried > MOST_TRIED) {
        throw new IngotError(
          'SYS.1007',
          `the patterns of a query may have at most ${MOST_TRIED} bytes together, from the first % or _ of each on`,
          {
            elaboration:
              "Ask for less at a time, or for how a text begins: 'name~=centos%' counts for nothing.",
          },
        );
      }
      steps += leaf.steps.length;
      if (steps <= MOST_STEPS) return leaf;
      throw new IngotError(
        'SYS.1007',
        `the conditions of a query may walk over at most ${MOST_STEPS} relations together`,
        { elaboration: "Many values of one field are one condition: name in ('a', 'b', …), or name?=a,b." },
      );
    } catch (error) {
      throw at.place && error instanceof IngotError ? placed(error, at.place) : error;
    }
  };
  return visit(expression);
}

/** The error with the place in the where expression that it is about. */
function placed(error: IngotError, place: Place): IngotError {
  return new IngotError(
    error.code,
    `${error.details} (at position ${place.offset + 1} of the where expression)`,
    {
      elaboration: [pointAt(place), error.elaboration].filter(Boolean).join('\n'),
      opaque: { ...error.opaque, parameter: 'where', position: place.offset + 1 },
    },
  );
}

/** Values that are bound at most; a pattern is bound with the range that an index is searched for. */
function valuesIn(expression: Expression): number {
  if (expression.kind === 'not') return valuesIn(expression.part);
  if (expression.kind !== 'condition') return expression.parts.reduce((sum, part) => sum + valuesIn(part), 0);
  const { op, value = '', values } = expression.condition;
  if (op === 'in' || op === 'not in') return (values ?? splitList(value)).length;
  return op === 'like' || op === 'not like' ? 3 : 1;
}

function resolveCondition(resource: Resource, condition: Condition, syntax: Syntax): Leaf {
  const { steps, column, field, tags } = resolvePath(resource, condition.name);
  if (!tags) {
    const test = prepareTest(field, condition, syntax);
    return { kind: 'leaf', steps, none: false, column, field, condition, test };
  }
  // A resource without any tag passes each negative condition too: it has none of the positive one.
  const positive = POSITIVE[condition.op];
  const asked = { ...condition, op: positive ?? condition.op };
  const test = prepareTest(field, asked, syntax);
  return { kind: 'leaf', steps, none: positive !== undefined, column, field, condition: asked, test };
}

const POSITIVE: Partial<Record<Operator, Operator>> = {
  '!=': '=',
  'not in': 'in',
  'not like': 'like',
  'is null': 'is not null',
};

export function leavesOf(resolved: Resolved): Leaf[] {
  if (resolved.kind === 'leaf') return [resolved];
  return resolved.kind === 'not' ? leavesOf(resolved.part) : resolved.parts.flatMap(leavesOf);
}
