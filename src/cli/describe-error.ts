/** Errors as people read them: code and sentence, what to do, and below it what caused it. */
import type { ErrorBody } from '../kernel/errors.ts';
import { Ending, EXIT } from './exit-codes.ts';
import { printable } from './terminal.ts';

/** The service answered with an error. */
export class Refused extends Ending {
  readonly body: ErrorBody;

  constructor(body: ErrorBody) {
    super(EXIT.failed, body.details, body.elaboration);
    this.body = body;
  }
}

export function describeError(body: ErrorBody, depth = 0): string {
  const margin = '  '.repeat(depth);
  const lines = [`${margin}${body.code}: ${printable(body.details ?? body.description)}`];
  // It may point at a place in the line above.
  for (const line of body.elaboration?.split('\n') ?? []) lines.push(`${margin}  ${printable(line)}`);
  const causes = [...(body.cause ? [body.cause] : []), ...(body.causes ?? [])];
  for (const cause of causes) lines.push(describeError(cause, depth + 1));
  return lines.join('\n');
}
