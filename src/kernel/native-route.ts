/** Where a message is found in `/v1`, derived from its declaration; the client, the service and OpenAPI agree by this. */
import type { Message, Method } from './message.ts';

export interface NativeRoute {
  method: Method | 'PATCH';
  /** Below `/v1`. */
  path: string;
}

/**
 * Queries, getters, creating and deleting calls are where they are in ZStack's API. What there is a PUT of an action
 * is here: a GET of what it gets (`GetVersion`), a PATCH of the resource (`UpdateImage`), or a POST to a path of its
 * own (`ChangeImageState`: `POST /images/{uuid}/change-state`).
 */
export function nativeRoute({ name, resource, route }: Message): NativeRoute {
  if (route.method !== 'PUT') return { method: route.method, path: route.path };
  const base = route.path.replace(/\/actions$/, '');
  const verb = resource ? name.replace(resource.name, '') : name;
  if (verb === 'Update' && base.endsWith('}')) return { method: 'PATCH', path: base };
  if (base === route.path) return { method: 'POST', path: base };
  if (verb.startsWith('Get')) return { method: 'GET', path: `${base}/${kebab(verb.slice('Get'.length))}` };
  return { method: 'POST', path: `${base}/${kebab(verb)}` };
}

function kebab(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '-').toLowerCase();
}
