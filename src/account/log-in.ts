import type { Database } from '../database/database.ts';
import type { Call, Operations } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { InventoryOf } from '../kernel/resource.ts';
import type { Session } from './account.ts';
import type { LogInLimits } from './log-in-limits.ts';
import type { LogIn, LogInByAccount, LogOut, RenewSession, ValidateSession } from './messages.ts';
import { hashPassword, sha512, verifyPassword } from './password.ts';
import type { Sessions } from './sessions.ts';

interface SessionMessages {
  LogInByAccount: typeof LogInByAccount;
  LogIn: typeof LogIn;
  LogOut: typeof LogOut;
  ValidateSession: typeof ValidateSession;
  RenewSession: typeof RenewSession;
}

export function sessionOperations(parts: {
  database: Database;
  sessions: Sessions;
  limits: LogInLimits;
  log: Log;
}): Operations<SessionMessages> {
  // Compared with where there is no such account, so that its absence takes as long as a wrong password.
  const nobody = hashPassword(sha512('nobody'));

  async function logIn(call: Call, name: string, password: string): Promise<InventoryOf<typeof Session>> {
    const from = call.from ?? 'unknown';
    return parts.limits.logIn({ from, name }, async ({ isKnown, failed }) => {
      const account = await parts.database.sql
        .selectFrom('account')
        .select(['uuid', 'type', 'passwordHash'])
        .where('name', '=', name)
        .executeTakeFirst();
      const hash = account?.passwordHash ?? (await nobody);
      const right = await verifyPassword(password, hash, { urgent: isKnown });
      if (account && right) return parts.sessions.open(account);
      parts.log.warn({ account: name, from, failures: failed() }, 'a log-in failed');
      throw new IngotError('ID.1000', 'the account name or the password is wrong');
    });
  }

  return {
    async logInByAccount(call) {
      const { accountName, password } = call.parameters;
      return { inventory: await logIn(call, accountName, password) };
    },
    async logIn(call) {
      const { username, password } = call.parameters;
      return { inventory: await logIn(call, username, password) };
    },
    async logOut({ parameters: { sessionUuid } }) {
      await parts.sessions.close(sessionUuid);
      return {};
    },
    async validateSession({ parameters: { sessionUuid } }) {
      return { valid: await parts.sessions.isValid(sessionUuid) };
    },
    async renewSession({ parameters: { sessionUuid, duration }, caller }) {
      return { inventory: await parts.sessions.renew(sessionUuid, caller, duration) };
    },
  };
}
