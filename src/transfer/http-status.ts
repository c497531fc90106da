import { IngotError } from '../kernel/errors.ts';
import { shorten } from '../kernel/format.ts';
import { maskUrl } from './http-address.ts';
import type { HttpAnswer } from './http-connection.ts';
import { type RetryPolicy, SourceBreak } from './source.ts';

const WHAT_TO_DO: Record<number, string> = {
  401: 'Give user name and password in the URL: http://user:password@host/path.',
  403: 'Check that the file may be read, with the user name and password of the URL if it has them.',
  404: 'Check the path of the URL.',
  410: 'The file is gone from there for good.',
};

/** Statuses that a later try may not meet again. */
const PASSING = [408, 425, 429, 500, 502, 503, 504];

/** The error for an answer that brings no file. */
export function statusError(answer: HttpAnswer, retry: RetryPolicy): IngotError | SourceBreak {
  const named = `${answer.status} ${shorten(answer.reason)}`.trim();
  const advice = WHAT_TO_DO[answer.status];
  const passing = PASSING.includes(answer.status);
  const error = new IngotError('SYS.1015', `The server answered ${named} to ${maskUrl(answer.url)}.`, {
    ...(advice !== undefined && { elaboration: advice }),
    opaque: { httpStatus: answer.status },
    retryable: passing,
  });
  if (!passing) return error;
  const wait = retryAfter(answer.headers['retry-after']);
  return new SourceBreak(error, wait === undefined ? {} : { wait: Math.min(wait, retry.maxDelay) });
}

/** The header's seconds or date (RFC 9110, 10.2.3) in milliseconds from now. */
function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const milliseconds = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : undefined;
}
