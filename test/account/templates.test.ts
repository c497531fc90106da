/** What an account makes of its own volumes: within its quotas, and on storages that are told beforehand. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { newUuid } from '../../src/kernel/uuid.ts';
import { startTestService, TestClient, type TestService } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const MIB = 2 ** 20;
const sha512 = (text: string) => createHash('sha512').update(text).digest('hex');

describe('an account with a volume', () => {
  let service: TestService;
  let user: TestClient;
  let userUuid: string;
  let volume: string;
  let snapshot: string;
  before(async () => {
    service = await startTestService();
    const { client } = service;
    const zoneUuid = (await client.query('Zone'))[0]?.uuid;
    const url = join(temporaryDirectory(), 'primary');
    const { inventory: storage } = await client.call('AddLocalPrimaryStorage', { name: 'p', url, zoneUuid });
    const account = await client.call('CreateAccount', { name: 'u', password: sha512('u') });
    userUuid = account.inventory.uuid;
    user = new TestClient(service.address);
    await user.logIn('u', 'u');
    const made = await user.call('CreateDataVolume', {
      name: 'v',
      diskSize: MIB,
      primaryStorageUuid: storage.uuid,
    });
    volume = made.inventory.uuid;
    snapshot = (await user.call('CreateVolumeSnapshot', { volumeUuid: volume, name: 's' })).inventory.uuid;
  });
  after(() => service.stop());

  const makeTemplate = (name: string) =>
    user.call('CreateDataVolumeTemplateFromVolume', { name, volumeUuid: volume });
  const limit = (name: string, value: number) =>
    service.client.call('UpdateQuota', { identityUuid: userUuid, name, value });

  it('makes images of it as far as its quotas go, and nothing is left of one too many', async () => {
    await limit('image.num', 1);
    assert.equal((await makeTemplate('first')).inventory.status, 'Ready');
    await assert.rejects(makeTemplate('second'), {
      code: 'ID.1003',
      message: `the quota image.num of account ${userUuid} is 1, and this would make it 2`,
    });
    await limit('image.num', 9);
    const [first] = await user.query('Image');
    await limit('image.size', first?.actualSize);
    await assert.rejects(makeTemplate('third'), {
      code: 'ID.1003',
      message: /the quota image\.size of account/,
    });
    assert.deepEqual(
      (await service.client.query('Image')).map((image) => image.name),
      ['first'],
    );
  });

  it('is told which storages could take one, by every path that clients know', async () => {
    const storages = (await user.query('BackupStorage')).map(({ uuid }) => uuid);
    const base = '/zstack/v1/images';
    for (const path of [
      `${base}/candidate-backup-storage?volumeUuid=${volume}`,
      `${base}/candidate-backup-storage?volumeSnapshotUuid=${snapshot}`,
      `${base}/volumes/${volume}/candidate-backup-storage`,
      `${base}/volume-snapshots/${snapshot}/candidate-backup-storage`,
    ]) {
      const { json, text } = await user.http('GET', path);
      assert.deepEqual(
        json.inventories?.map(({ uuid }: { uuid: string }) => uuid),
        storages,
        `${path}: ${text}`,
      );
    }
    const none = newUuid();
    await assert.rejects(
      user.call('GetCandidateBackupStorageForCreatingImageFromVolume', { volumeUuid: none }),
      { code: 'SYS.1003', message: `there is no Volume with the uuid ${none}` },
    );
  });

  it('tells another one nothing of it', async () => {
    await service.client.call('CreateAccount', { name: 'o', password: sha512('o') });
    const other = new TestClient(service.address);
    await other.logIn('o', 'o');
    await assert.rejects(
      other.call('GetCandidateBackupStorageForCreatingImageFromVolume', { volumeUuid: volume }),
      { code: 'ID.1002', message: `the Volume ${volume} is another account's, and not shared with this one` },
    );
    await assert.rejects(
      other.call('CreateDataVolumeTemplateFromVolume', { name: 'x', volumeUuid: volume }),
      { code: 'ID.1002' },
    );
    assert.deepEqual(await other.query('Volume'), []);
    assert.deepEqual(await other.query('Image', `volume.uuid=${volume}`), []);
  });
});
