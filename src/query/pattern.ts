/** The patterns of `like`: `%` is any run, `_` one character, a backslash takes the next one as it is. */
import { IngotError } from '../kernel/errors.ts';
import type { Condition } from './condition.ts';

/** The longest pattern that SQLite matches, in bytes. */
const LONGEST_PATTERN = 50_000;

/** The most bytes that all patterns of a query may try together (see `triedBytes`). */
export const MOST_TRIED = LONGEST_PATTERN;

/** The pattern as databases take it; SYS.1007 where it is too long. */
export function likePattern(name: string, written: string): string {
  // A lone backslash at the end means itself; PostgreSQL would refuse it.
  const trailing = /\\*$/.exec(written)?.[0].length ?? 0;
  const pattern = trailing % 2 === 1 ? `${written}\\` : written;
  if (Buffer.byteLength(pattern) <= LONGEST_PATTERN) return pattern;
  throw new IngotError('SYS.1007', `the pattern for '${name}' may have at most ${LONGEST_PATTERN} bytes`);
}

/** The characters that every match begins with. */
export function prefixOf(pattern: string): string {
  return pattern.slice(0, firstWildcard(pattern)).replace(/\\(.?)/gs, '$1');
}

/**
 * Bytes of a condition's pattern that are tried anew at each place of a text: all from the first wildcard on. None
 * where it tells only how a text begins, which is compared once.
 */
export function triedBytes({ op, value = '' }: Condition): number {
  if (op !== 'like' && op !== 'not like') return 0;
  const rest = value.slice(firstWildcard(value));
  return /^%*$/.test(rest) ? 0 : Buffer.byteLength(rest);
}

function firstWildcard(pattern: string): number {
  for (let i = 0; i < pattern.length; i++) {
    const character = pattern[i];
    if (character === '%' || character === '_') return i;
    if (character === '\\') i++;
  }
  return pattern.length;
}
