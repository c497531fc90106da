import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { newUuid } from '../../src/kernel/uuid.ts';
import { startTestService, type TestService } from '../support/service.ts';

describe('the REST wire over PostgreSQL', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService({ database: 'postgres' });
  });
  after(() => service.stop());

  it('accepts one of several calls that choose the same uuid at the same moment, and tells of that one', async () => {
    const { client } = service;
    const [store] = await client.query('BackupStorage');
    const path = `/zstack/v1/backup-storage/${store?.uuid}/actions`;
    const body = { changeBackupStorageState: { stateEvent: 'enable' } };
    for (let round = 0; round < 5; round++) {
      const id = newUuid();
      const headers = { 'x-job-uuid': id };
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => client.http('PUT', path, { body, headers })),
      );
      const statuses = answers.map((answer) => answer.status).sort();
      assert.deepEqual(statuses, [202, ...Array(7).fill(400)]);
      assert.equal((await client.result(id)).inventory.uuid, store?.uuid);
    }
  });

  it('takes characters that PostgreSQL has not for what they are', async () => {
    const { client } = service;
    assert.equal((await client.http('GET', '/zstack/v1/api-jobs/a%00b')).status, 404);
    for (const path of ['/zones/a%00b', '/zones?q=name=a%00b', '/zones?q=uuid?=a%00b,c']) {
      const answer = await client.http('GET', `/zstack/v1${path}`);
      assert.equal(answer.json.error.code, 'SYS.1007', path);
    }
    await assert.rejects(client.logIn('a\0b', 'x'), { code: 'SYS.1007' });
    await assert.rejects(client.call('AddLocalBackupStorage', { name: 'a\ud800b', url: '/srv/x' }), {
      code: 'SYS.1007',
    });
  });
});
