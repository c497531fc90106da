/** A command that is already in words: help, a call, or one of the few others. */

import type { Message } from '../kernel/message.ts';
import { call } from './call.ts';
import type { CommandContext } from './context.ts';
import { usageError } from './exit-codes.ts';
import { COMMANDS, commandHelp, generalHelp, messageHelp } from './help.ts';
import { logIn, logOut } from './log-in.ts';
import type { Options } from './options.ts';
import { findMessage } from './parameters.ts';
import { tryImage } from './try.ts';

/** Fulfilled with the answer, where it was a call. Rejects with what `fail` shows. */
export async function runCommand(
  context: CommandContext,
  words: readonly string[],
  options: Options,
): Promise<Record<string, unknown> | undefined> {
  const [name, ...rest] = words;
  const { terminal, messages } = context;
  if (name === undefined || name === 'help' || options.help) {
    terminal.print(help(messages, name === 'help' ? rest[0] : name));
  } else if (name === 'login') await logIn(context, rest, options);
  else if (name === 'logout') await logOut(context, options);
  else if (name === 'try') await tryImage(context, rest, options);
  else if (Object.hasOwn(COMMANDS, name)) {
    throw usageError(
      `'${name}' has to be the first word: ingot ${`${name} ${COMMANDS[name]?.words}`.trim()}`,
    );
  } else return call(context, findMessage(messages, name, Object.keys(COMMANDS)), rest, options);
  return undefined;
}

/** Of a command, of a call, or of everything. */
function help(messages: readonly Message[], name: string | undefined): string {
  if (name === undefined) return generalHelp(messages);
  return Object.hasOwn(COMMANDS, name)
    ? commandHelp(name)
    : messageHelp(findMessage(messages, name, Object.keys(COMMANDS)));
}
