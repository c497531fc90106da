import type { Database } from '../database/database.ts';
import type { Operations } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { didYouMean } from '../kernel/nearest.ts';
import { requireInventory } from '../query/find.ts';
import { Account } from './account.ts';
import type { GetAccountQuotaUsage, UpdateQuota } from './messages.ts';
import { Quota } from './owner.ts';
import type { Quotas } from './quotas.ts';

interface QuotaMessages {
  UpdateQuota: typeof UpdateQuota;
  GetAccountQuotaUsage: typeof GetAccountQuotaUsage;
}

export function quotaOperations(parts: {
  database: Database;
  quotas: Quotas;
  clock: Clock;
}): Operations<QuotaMessages> {
  return {
    async updateQuota({ parameters: { identityUuid, name, value } }, tx) {
      await requireInventory(tx, Account, identityUuid);
      const row = await tx
        .updateTable('quota')
        .set({ value, lastOpDate: parts.clock.now() })
        .where('identityUuid', '=', identityUuid)
        .where('name', '=', name)
        .returning('uuid')
        .executeTakeFirst();
      if (!row) {
        const known = parts.quotas.definitions.map((quota) => quota.name);
        throw new IngotError(
          'SYS.1003',
          `there is no quota '${name}'${didYouMean(name, known)}; known are ${known.join(', ')}`,
        );
      }
      return { inventory: await requireInventory(tx, Quota, row.uuid) };
    },

    async getAccountQuotaUsage({ parameters: { uuid } }) {
      await requireInventory(parts.database.sql, Account, uuid);
      return { usages: await parts.quotas.usage(parts.database.sql, uuid) };
    },
  };
}
