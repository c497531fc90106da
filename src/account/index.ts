import type { Database } from '../database/database.ts';
import type { Operations } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { Resource } from '../kernel/resource.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import { accessKeyOperations } from './access-keys.ts';
import { accountOperations as accountsOperations } from './accounts.ts';
import { sessionOperations } from './log-in.ts';
import { LogInLimits } from './log-in-limits.ts';
import type * as messages from './messages.ts';
import { quotaOperations } from './quota-operations.ts';
import type { Quotas } from './quotas.ts';
import type { Sessions } from './sessions.ts';
import { sharingOperations } from './sharing.ts';

export function accountOperations(parts: {
  database: Database;
  sessions: Sessions;
  quotas: Quotas;
  resources: ReadonlyMap<string, Resource>;
  clock: Clock;
  log: Log;
  secrets: SecretBox;
}): Operations<typeof messages> {
  const limits = new LogInLimits(parts.clock);
  return {
    ...sessionOperations({ ...parts, limits }),
    ...accountsOperations({ ...parts, limits }),
    ...sharingOperations(parts),
    ...quotaOperations(parts),
    ...accessKeyOperations(parts),
  };
}
