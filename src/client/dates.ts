/** Dates of `/v1`'s answers, ISO 8601, as the declarations' types have them: milliseconds since 1970. */
import type { Answer } from '../kernel/message.ts';
import { inventoryRelations, type Resource } from '../kernel/resource.ts';

type Members = Record<string, unknown>;

export function readDates(answer: Answer, members: Members): Members {
  if (answer.kind === 'inventory') readInventory(answer.of, members.inventory);
  else if (answer.kind === 'inventories') readList(answer.of, members.inventories);
  else if (answer.kind === 'fields') {
    for (const [name, field] of Object.entries(answer.fields)) {
      if (field.kind === 'date') readMember(members, name);
    }
  }
  return members;
}

function readList(of: Resource, list: unknown): void {
  if (Array.isArray(list)) for (const item of list) readInventory(of, item);
}

function readInventory(of: Resource, inventory: unknown): void {
  if (typeof inventory !== 'object' || inventory === null) return;
  const members = inventory as Members;
  for (const [name, field] of Object.entries(of.fields)) if (field.kind === 'date') readMember(members, name);
  for (const [name, relation] of inventoryRelations(of)) {
    if (relation.inventory?.pluck === undefined) readList(relation.to, members[name]);
  }
}

function readMember(members: Members, name: string): void {
  const value = members[name];
  if (typeof value === 'string') members[name] = Date.parse(value);
}
