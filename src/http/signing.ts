/** The headers of calls that are signed with an access key (zstack-api.md 1.4). */
import type { IncomingHttpHeaders } from 'node:http';
import { shorten } from '../kernel/format.ts';
import { HttpProblem } from './answers.ts';

/** How far a call's clock may be from ours, in milliseconds. */
const SKEW = 15 * 60_000;

export interface Signed {
  id: string;
  signature: string;
  /** As sent: it is part of what is signed. */
  date: string;
}

/** Reads `Authorization: ZStack <id>:<signature>` and `Date`; 400 for what can't be understood, 403 for a wrong time. */
export function readSigned(credentials: string, headers: IncomingHttpHeaders, now: number): Signed {
  const [id, signature, ...rest] = credentials.trim().split(':');
  if (!id || !signature || rest.length > 0) {
    throw new HttpProblem(
      400,
      'ID.1000',
      "the Authorization header must be 'ZStack <access key id>:<signature>'",
    );
  }
  const { date } = headers;
  if (date === undefined) throw new HttpProblem(400, 'ID.1000', 'a signed call needs the header Date');
  const times = possibleTimes(date);
  if (times.length === 0) {
    throw new HttpProblem(
      400,
      'ID.1000',
      `the header Date must be like 'Mon, 06 Jan 2025 03:51:16 GMT', but is '${shorten(date)}'`,
    );
  }
  if (!times.some((time) => Math.abs(time - now) <= SKEW)) {
    throw new HttpProblem(403, 'ID.1000', 'requestTimeTooSkewed', { plain: true });
  }
  return { id, signature, date };
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const FORM =
  /^\s*(?:[a-z]{3,9},\s*)?(\d{1,2})[\s-]+([a-z]{3})[a-z]*[\s-]+(\d{4})\s+(\d{1,2}):(\d{2}):(\d{2})\s*(\S.*?)?\s*$/i;

/**
 * The times that a Date header may mean: ZStack's clients write a zone's name, its abbreviation or an offset in its
 * last place, and a ZStack reads it as its own local time. Empty for what is no date.
 */
export function possibleTimes(header: string): number[] {
  const match = FORM.exec(header);
  if (!match) {
    const time = /^\d{4}-\d\d-\d\dT/.test(header) ? Date.parse(header) : Number.NaN;
    return Number.isNaN(time) ? [] : [time];
  }
  const [, day, monthName = '', year, hours, minutes, seconds, zone = ''] = match;
  const month = MONTHS.indexOf(monthName.toLowerCase());
  if (month < 0) return [];
  const parts = [Number(year), month, Number(day), Number(hours), Number(minutes), Number(seconds)] as const;
  const asUtc = Date.UTC(...parts);
  const local = new Date(...parts).getTime();
  const stated = inZone(asUtc, zone);
  return stated === undefined ? [local] : [stated, local];
}

/** A wall clock's time in the named zone; undefined for zones nobody knows. */
function inZone(asUtc: number, zone: string): number | undefined {
  if (/^(|z|gmt|utc|ut)$/i.test(zone)) return asUtc;
  const offset = /^(?:gmt|utc)?([+-])(\d{1,2}):?(\d{2})?$/i.exec(zone);
  if (offset) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3] ?? 0);
    return asUtc - (offset[1] === '-' ? -1 : 1) * minutes * 60_000;
  }
  // Abbreviations such as CST mean several zones: only whole names say which.
  if (!zone.includes('/')) return undefined;
  try {
    return asUtc - offsetAt(asUtc, zone);
  } catch {
    return undefined;
  }
}

/** How far the zone is ahead of UTC then, in milliseconds. */
function offsetAt(time: number, timeZone: string): number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const part: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(time)) part[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
  return Date.UTC(year, month - 1, day, hour, minute, second) - time;
}
