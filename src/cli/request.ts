/** A message and its parameters as an HTTP request, from the declaration of its route. */
import { type Message, pathVariables } from '../kernel/message.ts';
import type { Exchange, HttpAnswer } from './client.ts';
import { Ending, EXIT } from './exit-codes.ts';

export const PREFIX = '/zstack/v1';

export function requestOf(message: Message, parameters: Readonly<Record<string, unknown>>): Exchange {
  const { method, path, body } = message.route;
  const rest = { ...parameters };
  let target = PREFIX + path;
  for (const name of pathVariables(path)) {
    target = target.replace(`{${name}}`, encodeURIComponent(String(rest[name]).toWellFormed()));
    delete rest[name];
  }
  if (body !== 'query') {
    return { method, path: target, body: { [body === 'params' ? 'params' : message.action]: rest } };
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(rest)) {
    for (const each of [value].flat()) query.append(name, String(each));
  }
  return { method, path: query.size > 0 ? `${target}?${query}` : target };
}

/** Out of the `location` of a 202: the last part of its path, whatever address the service thinks it has. */
export function jobUuidOf(answer: HttpAnswer): string {
  const uuid = /\/api-jobs\/([0-9A-Za-z]+)\/?$/.exec(String(answer.members.location))?.[1];
  if (uuid === undefined)
    throw new Ending(EXIT.failed, 'the service accepted the call, but names no job to ask for');
  return uuid;
}
