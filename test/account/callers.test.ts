/** Who may make which call: each one there is, from its declaration, and those of the chapter by name. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { messages } from '../../src/catalogue.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, TestClient, type TestService } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';

const sha512 = (text: string) => createHash('sha512').update(text).digest('hex');

describe('calls', () => {
  let service: TestService;
  let source: RangeServer;
  let user: TestClient;
  let userUuid: string;
  before(async () => {
    source = await startRangeServer({ files: { '/a.qcow2': readFileSync((await smallQcow2()).path) } });
    service = await startTestService();
    const { inventory } = await service.client.call('CreateAccount', { name: 'u', password: sha512('u') });
    userUuid = inventory.uuid;
    user = new TestClient(service.address);
    await user.logIn('u', 'u');
  });
  after(async () => {
    await service.stop();
    await source.close();
  });

  /** With uuids of nothing, so that whoever may call changes nothing either. */
  const attempt = async (client: TestClient, message: (typeof messages)[number]): Promise<string> => {
    const parameters = Object.fromEntries(
      Object.entries(message.parameters)
        .filter(([, { presence }]) => presence === 'required')
        .map(([name, { kind }]) => [name, kind === 'uuid' ? newUuid() : 'nothing']),
    );
    const answer = await client.call(message.name, parameters).catch((error) => error);
    return answer instanceof IngotError ? answer.code : 'done';
  };

  it('of administrators are refused to others, before anything else is looked at', async () => {
    const theirs = messages.filter((message) => message.caller === 'admin');
    assert.ok(theirs.length > 20);
    for (const message of theirs) assert.equal(await attempt(user, message), 'ID.1002', message.name);
  });

  it('of accounts are refused to who has no session, and those of anyone are not', async () => {
    const nobody = new TestClient(service.address);
    for (const message of messages) {
      const code = await attempt(nobody, message);
      if (message.caller === 'anyone') assert.notEqual(code, 'ID.1001', message.name);
      else assert.equal(code, 'ID.1001', message.name);
    }
  });

  it('of accounts are for every account', async () => {
    for (const message of messages.filter(({ caller }) => caller === 'account')) {
      assert.notEqual(await attempt(user, message), 'ID.1002', message.name);
    }
  });

  it('are whose the image chapter says', () => {
    const callers = (name: string) => messages.find((message) => message.name === name)?.caller;
    for (const name of ['AddImage', 'DeleteImage', 'ChangeImageState']) assert.equal(callers(name), 'admin');
    for (const name of [
      'CreateRootVolumeTemplateFromRootVolume',
      'CreateRootVolumeTemplateFromVolumeSnapshot',
      'CreateDataVolumeTemplateFromVolume',
      'QueryImage',
      'CreateUserTag',
    ]) {
      assert.equal(callers(name), 'account', name);
    }
  });

  it('change only what is the own, and not what is shared', async () => {
    const { client } = service;
    const { inventory } = await client.call('AddImage', { name: 'template', url: source.url('/a.qcow2') });
    const { uuid } = inventory;
    const rename = () => user.call('UpdateImage', { uuid, name: 'renamed' });
    const refusal = {
      code: 'ID.1002',
      message: `the Image ${uuid} is another account's, and only its owner may do that`,
    };
    await assert.rejects(rename(), refusal);
    await client.call('ShareResource', { resourceUuids: [uuid], accountUuids: [userUuid] });
    await assert.rejects(rename(), refusal);
    await client.call('ChangeResourceOwner', { accountUuid: userUuid, resourceUuid: uuid });
    assert.equal((await rename()).inventory.name, 'renamed');
  });
});
