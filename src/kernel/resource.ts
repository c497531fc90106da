/**
 * Resources: what the service keeps and what can be queried. One declaration gives the table's type, the
 * inventory, the query language's fields and joins, the command line's completion and the documentation.
 */
import type { Field, Fields, ValueOf } from './field.ts';

/** The way from one resource to others: over `local` = `foreign`. */
export interface Relation {
  readonly to: Resource;
  readonly local: string;
  readonly foreign: string;
  readonly doc: string;
  /**
   * Set where the related rows are part of the inventory, as a list under the relation's own name: whole
   * inventories, or the values of one of their fields.
   */
  readonly inventory?: { readonly pluck?: string };
}

/**
 * A reference to another resource's uuid, declared once by the side that holds it; the other side gets the
 * way back under `inverse.name`.
 */
export interface Reference {
  to: Resource;
  /** The field that holds the other's uuid. */
  by: string;
  doc: string;
  inverse?: {
    name: string;
    doc: string;
    /** The list's name in the other side's inventory, where it is part of that. */
    listed?: string;
    /** The list then holds this field's values alone. */
    pluck?: string;
  };
}

/** How a resource is tagged; calls name its type by `resourceTypeOf`. */
export interface Tagging {
  /** The system tags it takes: a pattern such as `bootMode::{bootMode}`, and what it means. */
  readonly system: Readonly<Record<string, SystemTagPattern>>;
}

export interface SystemTagPattern {
  readonly doc: string;
  /** What may stand in the pattern's one variable; anything by default. */
  readonly values?: readonly string[];
  /** A resource has at most one tag of this pattern. */
  readonly single?: boolean;
  /** The service alone puts it on: nobody else can vouch for what it says. */
  readonly byService?: boolean;
}

/** A shorter name for a path over relations: `backupStorage` = `backupStorageRef.backupStorage`. */
export type Alias = readonly string[];

/**
 * Whom rows are shown to, besides administrators, who see all.
 * - `owner`: the account that owns it, and those it is shared with.
 * - `everyone`: any account; it has an owner all the same, who alone may change it.
 * - `references`: whoever sees all that the row refers to.
 * - `administrators`: nobody else; it is nobody's.
 * - `account`: the account that this column names.
 * - `resource`: whoever sees the resource whose uuid this column holds; its type (`ImageVO`) is in `type`.
 */
export type Visibility =
  | 'owner'
  | 'everyone'
  | 'references'
  | 'administrators'
  | { readonly account: string }
  | { readonly resource: string; readonly type: string };

export interface Resource<F extends Fields = Fields, C extends Fields = Fields> {
  readonly name: string;
  /** Name of its table. */
  readonly table: string;
  readonly doc: string;
  /** Where the rules come from: chapter and section. */
  readonly source: string;
  /** What inventories show and queries may name. */
  readonly fields: F;
  /** What the table keeps besides and no one is told. */
  readonly columns: C;
  /** Columns that make a row unique; the first is `uuid` but for references. */
  readonly key: readonly string[];
  readonly relations: Readonly<Record<string, Relation>>;
  readonly aliases: Readonly<Record<string, Alias>>;
  /** By default `owner`, and for what has no uuid of its own `references`. */
  readonly visible: Visibility;
  /** The relations that this side declared: what it refers to. */
  readonly refersTo: readonly string[];
  /** ZStack's class of the inventory, for the answers' `schema`. */
  readonly zstackClass: string;
  /** Absent where it has no tags. */
  readonly tags?: Tagging;
}

interface ResourceDefinition<F extends Fields, C extends Fields> {
  name: string;
  table?: string;
  doc: string;
  source: string;
  fields: F;
  columns?: C;
  key?: readonly string[];
  references?: Record<string, Reference>;
  /** Ways to what refers to it without saying to which resource, as tags do. */
  relations?: Record<string, Relation>;
  aliases?: Record<string, Alias>;
  visible?: Visibility;
  zstackClass?: string;
  tags?: Tagging;
}

// biome-ignore lint/complexity/noBannedTypes: no columns of its own is what {} says here
export function defineResource<const F extends Fields, const C extends Fields = {}>(
  definition: ResourceDefinition<F, C>,
): Resource<F, C> {
  const { name, references, relations, ...rest } = definition;
  const resource: Resource<F, C> = Object.freeze({
    columns: {} as C,
    aliases: {},
    key: ['uuid'],
    visible: (definition.key?.[0] ?? 'uuid') === 'uuid' ? 'owner' : 'references',
    refersTo: Object.keys(references ?? {}),
    zstackClass: `org.zstack.header.${name.toLowerCase()}.${name}Inventory`,
    table: name.charAt(0).toLowerCase() + name.slice(1),
    relations: { ...relations },
    name,
    ...rest,
  });
  for (const [field, reference] of Object.entries(references ?? {})) relate(resource, field, reference);
  return resource;
}

/**
 * Adds a reference that `from`'s own declaration can't make: where two resources refer to each other, the later one
 * declares both ways.
 */
export function relate(from: Resource, name: string, { to, by, doc, inverse }: Reference): void {
  addRelation(from, name, { to, local: by, foreign: 'uuid', doc });
  if (!inverse) return;
  const back = { to: from, local: 'uuid', foreign: by, doc: inverse.doc };
  addRelation(to, inverse.name, back);
  if (inverse.listed) {
    addRelation(to, inverse.listed, { ...back, inventory: inverse.pluck ? { pluck: inverse.pluck } : {} });
  }
}

function addRelation(resource: Resource, name: string, relation: Relation): void {
  const relations = resource.relations as Record<string, Relation>;
  if (relations[name] || resource.fields[name]) throw new Error(`${resource.name}.${name} is declared twice`);
  relations[name] = relation;
}

type OptionalKeys<F extends Fields> = {
  [K in keyof F]: F[K] extends Field<unknown, 'optional'> ? K : never;
}[keyof F];

type Columns<F extends Fields> = {
  [K in keyof F]: K extends OptionalKeys<F> ? ValueOf<F[K]> | null : ValueOf<F[K]>;
};

/** A row of the resource's table: null where an optional field has no value. */
export type RowOf<R extends Resource> = Columns<R['fields']> & Columns<R['columns']>;

/** What the service tells of a resource: members without a value are absent. */
export type InventoryOf<R extends Resource> = {
  [K in Exclude<keyof R['fields'], OptionalKeys<R['fields']>>]: ValueOf<R['fields'][K]>;
} & {
  [K in OptionalKeys<R['fields']>]?: ValueOf<R['fields'][K]>;
} & Record<string, unknown>;

/** The relations whose rows are part of the inventory. */
export function inventoryRelations(resource: Resource): [string, Relation][] {
  return Object.entries(resource.relations).filter(([, relation]) => relation.inventory !== undefined);
}

/** True for what belongs to somebody (AccountResourceRef) from the moment it is created. */
export function isOwned(resource: Resource): boolean {
  return resource.key[0] === 'uuid' && (resource.visible === 'owner' || resource.visible === 'everyone');
}

/** ZStack's name of the type, as tags and owners have it: `ImageVO`. */
export const resourceTypeOf = (resource: Resource) => `${resource.name}VO`;

/** The resources given and all that relations lead to from them, by name. */
export function reachableResources(from: Iterable<Resource>): ReadonlyMap<string, Resource> {
  const found = new Map<string, Resource>();
  const add = (resource: Resource) => {
    if (found.has(resource.name)) return;
    found.set(resource.name, resource);
    for (const relation of Object.values(resource.relations)) add(relation.to);
  };
  for (const resource of from) add(resource);
  return found;
}
