/**
 * Answers as ZStack's clients read them: dates in the English form of 2015, members without a value absent
 * (zstack-api.md 1.12).
 */
import type { Answer } from '../kernel/message.ts';
import { inventoryRelations, type Resource } from '../kernel/resource.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Jun 1, 2015 6:17:48 PM` in the server's time zone: no comma after the year, plain blanks, whatever ICU likes. */
export function zstackDate(milliseconds: number): string {
  const date = new Date(milliseconds);
  const hours = date.getHours();
  const minutes = date.getMinutes();
  const seconds = date.getSeconds();
  return `${MONTHS[date.getMonth()]} ${date.getDate()}, ${date.getFullYear()} ${hours % 12 || 12}:${minutes < 10 ? '0' : ''}${minutes}:${seconds < 10 ? '0' : ''}${seconds} ${hours < 12 ? 'AM' : 'PM'}`;
}

/** How a date is written, from milliseconds since 1970. */
export type DateForm = (milliseconds: number) => string;

/** `2015-06-01T18:17:48.000Z`: for clients of `/v1`. */
export const isoDate: DateForm = (milliseconds) => new Date(milliseconds).toISOString();
/** Dates of a list are few and come again and again. */
const MOST_REMEMBERED = 10_000;
const remembered = new Map<number, string>();

function presentDate(milliseconds: number): string {
  const second = Math.floor(milliseconds / 1000);
  let text = remembered.get(second);
  if (text === undefined) {
    if (remembered.size >= MOST_REMEMBERED) remembered.clear();
    text = zstackDate(milliseconds);
    remembered.set(second, text);
  }
  return text;
}

type Members = Record<string, unknown>;

interface Shape {
  dates: string[];
  lists: [string, Shape][];
}

const shapes = new WeakMap<Resource, Shape>();

function shapeOf(resource: Resource): Shape {
  let shape = shapes.get(resource);
  if (!shape) {
    shape = {
      dates: Object.keys(resource.fields).filter((name) => resource.fields[name]?.kind === 'date'),
      lists: inventoryRelations(resource)
        .filter(([, relation]) => relation.inventory?.pluck === undefined)
        .map(([name, relation]) => [name, shapeOf(relation.to)]),
    };
    shapes.set(resource, shape);
  }
  return shape;
}

function presentInventory(shape: Shape, inventory: Members, form: DateForm): void {
  for (const name of shape.dates) {
    const value = inventory[name];
    if (typeof value === 'number') inventory[name] = form(value);
  }
  for (const [name, inner] of shape.lists) {
    const list = inventory[name];
    if (Array.isArray(list)) for (const item of list) presentInventory(inner, item, form);
  }
}

/** Turns the dates of a message's answer into text, in place: the answer belongs to the caller. */
export function presentAnswer(answer: Answer, members: Members, form: DateForm = presentDate): Members {
  if (answer.kind === 'inventory' && typeof members.inventory === 'object') {
    presentInventory(shapeOf(answer.of), members.inventory as Members, form);
  } else if (answer.kind === 'inventories' && Array.isArray(members.inventories)) {
    const shape = shapeOf(answer.of);
    for (const inventory of members.inventories) presentInventory(shape, inventory, form);
  } else if (answer.kind === 'fields') {
    for (const [name, field] of Object.entries(answer.fields)) {
      const value = members[name];
      if (field.kind === 'date' && typeof value === 'number') members[name] = form(value);
    }
  }
  return members;
}
