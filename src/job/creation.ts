import type { SqlTransaction } from '../database/database.ts';
import type { Call, CreationHook } from './operation.ts';

/** Tells those who want to know that the call makes a resource, or has made it; nobody where it makes none. */
export async function tellOfCreation(
  hooks: readonly CreationHook[] | undefined,
  step: 'begin' | 'end',
  tx: SqlTransaction,
  call: Call,
  uuid: string,
): Promise<void> {
  const { creates, resource } = call.message;
  if (!creates || !resource) return;
  for (const hook of hooks ?? []) await hook[step]?.(tx, { call, resource, uuid });
}
