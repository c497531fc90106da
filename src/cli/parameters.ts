/** From the words behind a message's name to what is sent. */
import { sha512 } from '../account/password.ts';
import type { AnyField } from '../kernel/field.ts';
import type { Message } from '../kernel/message.ts';
import { didYouMean } from '../kernel/nearest.ts';
import { parseParameters } from '../kernel/parse.ts';
import { usageError } from './exit-codes.ts';
import { readQueryWords } from './query-words.ts';
import { splitAssignment } from './words.ts';

/** Checked as the service checks them, so that a wrong word costs no round trip. IngotError or Ending. */
export function readParameters(message: Message, words: readonly string[]): Record<string, unknown> {
  if (message.query) {
    const { conditions, parameters } = readQueryWords(message, words);
    return { ...check(message, parameters), ...(conditions.length > 0 && { conditions }) };
  }
  const given: Record<string, unknown> = {};
  for (const word of words) {
    const [name, value] = splitAssignment(word);
    if (Object.hasOwn(given, name)) throw usageError(`'${name}' is given twice`);
    const field = message.parameters[name];
    given[name] = field ? inward(name, field, value) : value;
  }
  return check(message, given);
}

/** What was given, without the defaults: the service knows them. */
function check(message: Message, given: Record<string, unknown>): Record<string, unknown> {
  const parsed: Record<string, unknown> = parseParameters(message.name, message.parameters, given);
  return Object.fromEntries(
    Object.keys(given)
      .filter((name) => parsed[name] !== undefined)
      .map((name) => [name, parsed[name]]),
  );
}

function inward(name: string, field: AnyField, value: string): unknown {
  // The password itself never leaves the user's machine.
  if (field.secret && name === 'password') return sha512(value);
  if (field.kind !== 'json') return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** The message of that name. Ending(usage) with the nearest name where there is none. */
export function findMessage(
  messages: readonly Message[],
  name: string,
  commands: readonly string[],
): Message {
  const found = messages.find((message) => message.name === name);
  if (found) return found;
  const known = [...messages.map((message) => message.name), ...commands];
  throw usageError(
    `there is no call or command '${name}'${didYouMean(name, known)}`,
    "'ingot --help' lists them.",
  );
}
