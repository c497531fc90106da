import { sql } from 'kysely';
import type { QuotaDefinition } from '../account/quotas.ts';
import { Image } from './image.ts';

/** Images marked Deleted count until they are expunged (zstack-api.md 5.3, 5.10). */
export const imageQuotas: readonly QuotaDefinition[] = [
  {
    name: 'image.num',
    default: 20,
    of: Image,
    async used(on, accountUuid) {
      const row = await on
        .selectFrom('accountResourceRef')
        .select((select) => select.fn.countAll<number>().as('used'))
        .where('accountUuid', '=', accountUuid)
        .where('resourceType', '=', 'ImageVO')
        .executeTakeFirstOrThrow();
      return row.used;
    },
  },
  {
    name: 'image.size',
    default: 10 * 2 ** 40,
    of: Image,
    async used(on, accountUuid) {
      const row = await on
        .selectFrom('accountResourceRef as ref')
        .innerJoin('image', 'image.uuid', 'ref.resourceUuid')
        .select(sql<number>`coalesce(sum(${sql.ref('image.actualSize')}), 0)`.as('used'))
        .where('ref.accountUuid', '=', accountUuid)
        .where('ref.resourceType', '=', 'ImageVO')
        .executeTakeFirstOrThrow();
      return Number(row.used);
    },
  },
];
