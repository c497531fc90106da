import type { Database } from '../database/database.ts';
import type { JobOperation, Operations } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Resource } from '../kernel/resource.ts';
import type { DeletePrimaryStorage } from '../primary-storage/messages.ts';
import { createZone } from './create.ts';
import { deleteZone } from './delete.ts';
import type * as messages from './messages.ts';

export function zoneOperations(parts: {
  database: Database;
  clock: Clock;
  resources: ReadonlyMap<string, Resource>;
  primaryStorage: JobOperation<typeof DeletePrimaryStorage>;
}): Operations<typeof messages> {
  return { createZone: createZone(parts), deleteZone: deleteZone(parts) };
}
