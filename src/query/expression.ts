/** What a query asks for: conditions, joined by AND, OR and NOT. */
import type { Condition } from './condition.ts';

export type Expression =
  | { kind: 'condition'; condition: Condition; place?: Place }
  | { kind: 'all' | 'any'; parts: Expression[] }
  | { kind: 'not'; part: Expression };

/** Where in a written expression something stands. */
export interface Place {
  text: string;
  /** Characters before it. */
  offset: number;
}

/** The expression's line with a caret below the place; long ones are shown in part. */
export function pointAt({ text, offset }: Place): string {
  const from = Math.max(0, offset - 60);
  const to = Math.min(text.length, offset + 60);
  const before = from > 0 ? '…' : '';
  const shown = text.slice(from, to).replace(/\s/g, ' ');
  return `${before}${shown}${to < text.length ? '…' : ''}\n${' '.repeat(before.length + offset - from)}^`;
}
