/** Paths and methods as the router needs them, whichever flavour of the API they are of. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Message, type Method, pathVariables } from '../kernel/message.ts';
import { HttpProblem } from './answers.ts';

export type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

/** One place on the wire, and what is to be found there by method. */
export type RouteTable<T> = Map<string, Map<Method | 'PATCH' | 'HEAD', T[]>>;

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** Puts a message where its route says; what a GET gives as a file can be asked for its head alone. */
export function addMessage(
  table: RouteTable<Message>,
  path: string,
  method: Method | 'PATCH',
  message: Message,
): void {
  addTo(table, path, method, message);
  if (method === 'GET' && message.answer.kind === 'file') addTo(table, path, 'HEAD', message);
}

/** Puts `item` under its path; paths that differ in the names of their variables alone are one. */
function addTo<T>(table: RouteTable<T>, path: string, method: Method | 'PATCH' | 'HEAD', item: T): void {
  const shape = path.replace(/\{\w+\}/g, '{}');
  const same = [...table.keys()].find((known) => known.replace(/\{\w+\}/g, '{}') === shape) ?? path;
  const byMethod = table.get(same) ?? new Map<Method | 'PATCH' | 'HEAD', T[]>();
  table.set(same, byMethod);
  byMethod.set(method, [...(byMethod.get(method) ?? []), item]);
}

/** Routes every path of the table; other methods there are 405 and say which are possible. */
export function addRoutes<T>(
  app: FastifyInstance,
  prefix: string,
  table: RouteTable<T>,
  handlerOf: (items: T[]) => Handler,
): void {
  for (const [path, byMethod] of table) {
    const url = prefix + fastifyPath(path);
    for (const [method, items] of byMethod) {
      // A HEAD of a GET is of no use to anyone here.
      app.route({ method, url, exposeHeadRoute: false, handler: handlerOf(items) });
    }
    const others = METHODS.filter((method) => !byMethod.has(method));
    if (others.length === 0) continue;
    app.route({
      method: others,
      url,
      exposeHeadRoute: false,
      handler: (request, reply) => {
        const allowed = [...byMethod.keys()].join(', ');
        reply.header('allow', allowed);
        throw new HttpProblem(405, 'SYS.1008', `${request.method} is not possible here; ${allowed} is`);
      },
    });
  }
}

/** The path as Fastify writes it: `/images/:uuid/actions`. */
function fastifyPath(path: string): string {
  return pathVariables(path).reduce((text, name) => text.replace(`{${name}}`, `:${name}`), path);
}

/**
 * The path's variables under the names that a message gives them: on a shared path the router knows those of
 * whichever message came first.
 */
export function pathValues(paths: readonly string[], request: FastifyRequest): Record<string, unknown> {
  const values = Object.values(request.params as Record<string, unknown>);
  const names = paths.map(pathVariables).find((each) => each.length === values.length) ?? [];
  return Object.fromEntries(names.map((name, i) => [name, values[i]]));
}
