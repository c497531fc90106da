import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { Database } from '../database/database.ts';
import { writeFileDurably } from '../kernel/durable-file.ts';
import { bornAt } from '../kernel/properties.ts';
import { ADMIN_UUID } from './account.ts';
import { hashPassword, sha512 } from './password.ts';

/**
 * Makes the built-in administrator where there is none, with a random password that is written to `passwordFile`
 * (0600). Returns the password when it has just been made.
 */
export async function makeFirstAccount(
  database: Database,
  passwordFile: string,
  now: number,
): Promise<string | undefined> {
  const there = await database.sql
    .selectFrom('account')
    .select('uuid')
    .where('uuid', '=', ADMIN_UUID)
    .executeTakeFirst();
  if (there) return undefined;
  const password = randomBytes(15).toString('base64url');
  // The file first: killed in between, the next start makes another password and nobody is locked out.
  await writeFileDurably(passwordFile, `${password}\n`, 0o600);
  const { numInsertedOrUpdatedRows } = await database.sql
    .insertInto('account')
    .values({
      uuid: ADMIN_UUID,
      name: 'admin',
      description: 'The built-in administrator',
      type: 'SystemAdmin',
      passwordHash: await hashPassword(sha512(password)),
      ...bornAt(now),
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirstOrThrow();
  if (numInsertedOrUpdatedRows === 1n) return password;
  // Another process on the same database was quicker, and its password is the one that counts.
  await rm(passwordFile, { force: true });
  return undefined;
}
