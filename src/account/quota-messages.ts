/** Messages about how much an account may have. */
import { bytes, json, text, uuid } from '../kernel/field.ts';
import { answerOf, defineMessage, defineQuery, inventoryOf } from '../kernel/message.ts';
import { Quota } from './owner.ts';

const zstackPackage = 'org.zstack.header.identity';
const about = { resource: Quota, zstackPackage };
const ACCOUNT = uuid('The account.', { references: 'Account' });

export const UpdateQuota = defineMessage({
  ...about,
  name: 'UpdateQuota',
  doc: 'Sets how much of something an account may have.',
  source: 'zstack-api.md 3.8',
  caller: 'admin',
  kind: 'change',
  route: 'PUT /accounts/quotas/actions',
  parameters: {
    identityUuid: ACCOUNT,
    name: text('Of what, such as image.num.', { max: 255 }),
    value: bytes('The most: a count, or bytes where the name ends in .size.'),
  },
  answer: inventoryOf(Quota),
});

export const QueryQuota = defineQuery(Quota, {
  route: 'GET /accounts/quotas',
  source: 'zstack-api.md 3.8',
  zstackPackage,
});

export const GetAccountQuotaUsage = defineMessage({
  ...about,
  name: 'GetAccountQuotaUsage',
  doc: 'Says how much of each quota an account has used.',
  source: 'zstack-api.md 3.8',
  caller: 'account',
  kind: 'sync',
  route: 'GET /accounts/quota/{uuid}/usages',
  parameters: { uuid: ACCOUNT },
  answer: answerOf({
    usages: json<{ name: string; total: number; used: number }[]>('One for each quota: name, total, used.'),
  }),
});
