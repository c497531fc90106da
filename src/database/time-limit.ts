import { IngotError } from '../kernel/errors.ts';

/** How long a query may take that can take long, in milliseconds. */
export const TIME_LIMIT = 30_000;

/** SYS.1001 for a query that has taken so many milliseconds, and more. */
export function tookTooLong(limit: number): IngotError {
  return new IngotError('SYS.1001', `the query took more than ${Math.ceil(limit / 1000)} s, and was ended`, {
    elaboration:
      'Ask for less: fewer conditions, shorter patterns, or how a text begins (name~=centos%), which an index finds.',
  });
}
