/** Which of ZStack's classes stands where in an answer: `inventories[0]` → `org.zstack.header.image.ImageInventory`. */
import type { Answer } from '../kernel/message.ts';
import { inventoryRelations, type Resource } from '../kernel/resource.ts';

type Members = Record<string, unknown>;

/** Only paths that are there: a client that follows one to nothing throws. */
export function schemaOf(answer: Answer, members: Members): Record<string, string> {
  const schema: Record<string, string> = {};
  if (answer.kind === 'inventory') addInventory(schema, 'inventory', answer.of, members.inventory);
  if (answer.kind === 'inventories') addList(schema, 'inventories', answer.of, members.inventories);
  return schema;
}

function addList(schema: Record<string, string>, path: string, of: Resource, list: unknown): void {
  if (!Array.isArray(list)) return;
  list.forEach((item, i) => {
    addInventory(schema, `${path}[${i}]`, of, item);
  });
}

function addInventory(schema: Record<string, string>, path: string, of: Resource, value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  schema[path] = of.zstackClass;
  for (const [name, relation] of inventoryRelations(of)) {
    if (relation.inventory?.pluck !== undefined) continue;
    addList(schema, `${path}.${name}`, relation.to, (value as Members)[name]);
  }
}
