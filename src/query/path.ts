/** From a written path to the field it means: over relations declared with the resources, to any depth. */
import { IngotError } from '../kernel/errors.ts';
import type { Field } from '../kernel/field.ts';
import { shorten } from '../kernel/format.ts';
import { didYouMean } from '../kernel/nearest.ts';
import type { Relation, Resource } from '../kernel/resource.ts';
import { TAG_FIELDS } from './tag.ts';

export interface ResolvedPath {
  /** The relations to walk, first one first. */
  steps: Relation[];
  /** Where the last step leads. */
  resource: Resource;
  column: string;
  field: Field;
  /** The last step leads to tags, which together are asked for as if they were one field. */
  tags: boolean;
}

/** The most relations one path may walk. Loops are fine, as far as this. */
const DEEPEST = 16;

export function resolvePath(from: Resource, path: string): ResolvedPath {
  const names = path.split('.');
  const last = names.pop() ?? '';
  const steps: Relation[] = [];
  let at = from;
  for (const name of names) {
    at = walk(at, name, path, steps);
    if (steps.length > DEEPEST) {
      throw new IngotError('SYS.1007', `'${shorten(path)}' walks over more than ${DEEPEST} relations`);
    }
  }
  const tags = Object.hasOwn(TAG_FIELDS, last) ? TAG_FIELDS[last] : undefined;
  if (tags && at.tags) {
    const field = tags.to.fields.tag as Field;
    return { steps: [...steps, tags], resource: tags.to, column: 'tag', field, tags: true };
  }
  // A list of plain values in the inventory, such as attachedZoneUuids, is asked for by its own name.
  const plucked = at.relations[last]?.inventory?.pluck;
  let column = last;
  if (plucked !== undefined) {
    at = walk(at, last, path, steps);
    column = plucked;
  }
  const field = at.fields[column];
  if (!field || !Object.hasOwn(at.fields, column)) throw unknownField(at, last, path);
  return { steps, resource: at, column, field, tags: false };
}

/** Adds the steps that `name` stands for (one, or an alias's several), and says where they lead. */
function walk(from: Resource, name: string, path: string, steps: Relation[]): Resource {
  const alias = Object.hasOwn(from.aliases, name) ? from.aliases[name] : undefined;
  let at = from;
  for (const part of alias ?? [name]) {
    const relation = Object.hasOwn(at.relations, part) ? at.relations[part] : undefined;
    if (!relation) throw unknownField(at, part, path);
    steps.push(relation);
    at = relation.to;
  }
  return at;
}

function unknownField(resource: Resource, name: string, path: string): IngotError {
  const fields = [...Object.keys(resource.fields), ...(resource.tags ? Object.keys(TAG_FIELDS) : [])];
  const expanded = [...Object.keys(resource.relations), ...Object.keys(resource.aliases)];
  const where = path === name ? '' : ` (in '${shorten(path)}')`;
  const isRelation = expanded.includes(name);
  const problem = isRelation
    ? `'${name}' of ${resource.name} is not a field but leads on; ask for one of its fields, as in '${name}.uuid'${where}`
    : `${resource.name} has no field '${shorten(name)}'${where}${didYouMean(name, [...fields, ...expanded])}`;
  return new IngotError('SYS.1007', problem, {
    elaboration: `Fields: ${fields.join(', ')}. Leading on: ${expanded.join(', ') || 'none'}.`,
    opaque: { field: shorten(path) },
  });
}
