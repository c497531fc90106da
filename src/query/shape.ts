/** Table rows made inventories: without their null members, and with an empty list for each relation that is part of one. */
import { compileRecord } from '../kernel/record.ts';
import type { Resource } from '../kernel/resource.ts';

export type Inventory = Record<string, unknown>;

type Shaper = (row: Inventory) => Inventory;

/** Deleting and adding members would make objects that are slow to write as JSON; so one function makes each kind. */
export class Shape {
  /** The columns that the rows have. */
  readonly names: readonly string[];
  /** Names what the rows have, among those of one resource. */
  readonly key: string;
  readonly #lists: readonly string[];
  /** Columns that may be null. */
  readonly #optional: readonly string[];
  /** By which of those are null, a binary digit each: as many as there are kinds of rows, which is few. */
  readonly #shapers = new Map<number, Shaper>();

  constructor(resource: Resource, names: readonly string[], lists: readonly string[]) {
    this.names = names;
    this.key = names.join();
    this.#lists = lists;
    this.#optional = names.filter((name) => resource.fields[name]?.presence === 'optional');
  }

  inventories(rows: readonly Inventory[]): Inventory[] {
    return rows.map((row) => this.#shaperOf(row)(row));
  }

  #shaperOf(row: Inventory): Shaper {
    let nulls = 0;
    for (const name of this.#optional) nulls = nulls * 2 + (row[name] === null ? 1 : 0);
    let shaper = this.#shapers.get(nulls);
    if (!shaper) {
      const values = this.names.filter((name) => row[name] !== null).map(memberOf);
      shaper = compileRecord<Inventory>([...values, ...this.#lists.map(emptyList)]);
      this.#shapers.set(nulls, shaper);
    }
    return shaper;
  }
}

const memberOf = (name: string): [string, string] => [name, `from[${JSON.stringify(name)}]`];
const emptyList = (name: string): [string, string] => [name, '[]'];

/** By resource, then by columns and lists. */
const known = new WeakMap<Resource, Map<string, Shape>>();
const MOST_KNOWN = 200;

/** The shape of rows with these columns, all of the resource's by default. */
export function shapeOf(resource: Resource, lists: readonly string[], names?: readonly string[]): Shape {
  let shapes = known.get(resource);
  if (!shapes) {
    shapes = new Map();
    known.set(resource, shapes);
  }
  const key = `${names?.join() ?? ''} ${lists.join()}`;
  let shape = shapes.get(key);
  if (!shape) {
    if (shapes.size >= MOST_KNOWN) shapes.clear();
    shape = new Shape(resource, names ?? Object.keys(resource.fields), lists);
    shapes.set(key, shape);
  }
  return shape;
}
