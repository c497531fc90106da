/** Calls that are signed with an access key instead of carrying a session (zstack-api.md 1.4). */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Database } from '../database/database.ts';
import type { Caller, Operations } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { bornAt } from '../kernel/properties.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import { newUuid } from '../kernel/uuid.ts';
import { requireInventory } from '../query/find.ts';
import { Account } from './account.ts';
import type { ChangeAccessKeyState, CreateAccessKey, DeleteAccessKey } from './messages.ts';
import { AccessKey } from './owner.ts';

interface AccessKeyMessages {
  CreateAccessKey: typeof CreateAccessKey;
  DeleteAccessKey: typeof DeleteAccessKey;
  ChangeAccessKeyState: typeof ChangeAccessKeyState;
}

/** What a client signs: the method, the Date header as sent, and the decoded path from `/v1` on without its query. */
export function signatureOf(secret: string, method: string, date: string, path: string): string {
  return createHmac('sha1', secret).update(`${method}\n${date}\n${path}`, 'utf8').digest('base64');
}

export class AccessKeys {
  readonly #database: Database;
  readonly #secrets: SecretBox;

  constructor({ database, secrets }: { database: Database; secrets: SecretBox }) {
    this.#database = database;
    this.#secrets = secrets;
  }

  /** Earlier versions kept secrets in clear. */
  async start(): Promise<void> {
    const keys = await this.#database.sql.selectFrom('accessKey').select(['uuid', 'secret']).execute();
    for (const { uuid, secret } of keys) {
      if (secret.length > LONGEST_SECRET) continue;
      await this.#database.sql
        .updateTable('accessKey')
        .set({ secret: this.#secrets.seal(secret, ownerOf(uuid)) })
        .where('uuid', '=', uuid)
        .where('secret', '=', secret)
        .execute();
    }
  }

  /** Whose the signature is; ID.1000 where it is nobody's. An unknown key takes as long as a wrong signature. */
  async callerOf(signed: {
    id: string;
    signature: string;
    method: string;
    date: string;
    path: string;
  }): Promise<Caller> {
    const key = await this.#database.sql
      .selectFrom('accessKey')
      .innerJoin('account', 'account.uuid', 'accessKey.accountUuid')
      .select([
        'accessKey.uuid as keyUuid',
        'accessKey.secret',
        'accessKey.state',
        'account.uuid',
        'account.type',
      ])
      .where('accessKey.AccessKeyID', '=', signed.id)
      .executeTakeFirst();
    const secret = key ? this.#secrets.open(key.secret, ownerOf(key.keyUuid)) : 'nobody';
    const expected = signatureOf(secret, signed.method, signed.date, signed.path);
    const right = isSame(signed.signature, expected);
    // ZStack's Go client looks for these words.
    if (!key) throw new IngotError('ID.1000', `there is no access key id ${signed.id}`);
    if (!right) throw new IngotError('ID.1000', `wrong accessKey signature for access key id ${signed.id}`);
    if (key.state !== 'Enabled')
      throw new IngotError('ID.1000', `the access key id ${signed.id} is Disabled`);
    return { accountUuid: key.uuid, admin: key.type === 'SystemAdmin' };
  }
}

/** Characters of a secret; what is kept of it is longer. */
const LONGEST_SECRET = 40;
const ownerOf = (uuid: string) => `access key ${uuid}`;

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

export function accessKeyOperations(parts: {
  database: Database;
  clock: Clock;
  secrets: SecretBox;
}): Operations<AccessKeyMessages> {
  return {
    async createAccessKey({ parameters, caller }) {
      const accountUuid = parameters.accountUuid ?? caller.accountUuid;
      const AccessKeyID = parameters.AccessKeyID ?? token(20);
      const secret = parameters.AccessKeySecret ?? token(40);
      const uuid = newUuid();
      const inventory = await parts.database.transaction(async (tx) => {
        await requireInventory(tx, Account, accountUuid);
        const taken = await tx
          .selectFrom('accessKey')
          .select('uuid')
          .where('AccessKeyID', '=', AccessKeyID)
          .executeTakeFirst();
        if (taken) throw new IngotError('SYS.1007', `there is an access key ${AccessKeyID} already`);
        await tx
          .insertInto('accessKey')
          .values({
            uuid,
            description: parameters.description ?? null,
            accountUuid,
            userUuid: accountUuid,
            AccessKeyID,
            secret: parts.secrets.seal(secret, ownerOf(uuid)),
            state: 'Enabled',
            ...bornAt(parts.clock.now()),
          })
          .execute();
        return requireInventory(tx, AccessKey, uuid);
      });
      return { inventory: { ...inventory, AccessKeySecret: secret } };
    },

    async deleteAccessKey({ parameters: { uuid } }, tx) {
      await tx.deleteFrom('accessKey').where('uuid', '=', uuid).execute();
      return {};
    },

    async changeAccessKeyState({ parameters: { uuid, stateEvent } }, tx) {
      await requireInventory(tx, AccessKey, uuid);
      await tx
        .updateTable('accessKey')
        .set({ state: stateEvent === 'enable' ? 'Enabled' : 'Disabled', lastOpDate: parts.clock.now() })
        .where('uuid', '=', uuid)
        .execute();
      return { inventory: await requireInventory(tx, AccessKey, uuid) };
    },
  };
}

/** Letters and digits at random, about 6 bits each. */
function token(length: number): string {
  let text = '';
  while (text.length < length)
    text += randomBytes(length)
      .toString('base64')
      .replace(/[^0-9A-Za-z]/g, '');
  return text.slice(0, length);
}
