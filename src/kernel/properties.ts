/** Properties that every resource has (related-chapters.md, Resources in general). */
import { date, text, uuid } from './field.ts';

export const UUID = uuid('UUID v4, lower case, hyphens stripped.');
export const NAME = text('1 to 255 visible characters, not unique.', { max: 255 });
export const DESCRIPTION = text('Free text, at most 2048 characters.', { max: 2048, optional: true });
export const CREATE_DATE = date('When it was created; never changes.');
export const LAST_OP_DATE = date("When it was last changed, by a user or by the service's own doing.");

/** What a new row has from its start. */
export function bornAt(now: number): { createDate: number; lastOpDate: number } {
  return { createDate: now, lastOpDate: now };
}
