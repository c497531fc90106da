/** What a failed command shows, and the exit code that it stands for. */
import { toErrorBody } from '../kernel/errors.ts';
import { describeError, Refused } from './describe-error.ts';
import { Ending, EXIT } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

export function fail(terminal: Terminal, error: unknown): number {
  if (error instanceof Refused) {
    terminal.error(describeError(error.body));
    return error.exitCode;
  }
  if (error instanceof Ending) {
    const text = [`ingot: ${error.message}`, ...(error.elaboration ? [error.elaboration] : [])].join('\n');
    if (error.exitCode === EXIT.ok || error.exitCode === EXIT.interrupted) terminal.remark(text);
    else terminal.error(text);
    return error.exitCode;
  }
  const body = toErrorBody(error);
  if (body.code === 'SYS.1007') {
    terminal.error([`ingot: ${body.details}`, ...(body.elaboration ? [body.elaboration] : [])].join('\n'));
    return EXIT.usage;
  }
  terminal.error(describeError(body));
  if (body.code === 'SYS.1000' && error instanceof Error && error.stack) terminal.remark(error.stack);
  return EXIT.failed;
}
