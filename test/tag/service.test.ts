import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestService } from '../support/service.ts';

for (const database of ['sqlite', 'postgres'] as const) {
  describe(`tags over the wire, on ${database}`, () => {
    let service: TestService;
    let source: RangeServer;
    let url: string;
    before(async () => {
      service = await startTestService({ database });
      source = await startRangeServer({ files: { '/disk.raw': randomBytes(65_536) } });
      url = source.url('/disk.raw');
    });
    after(async () => {
      await service.stop();
      await source.close();
    });
    const post = async (body: unknown) => {
      const { json, status } = await service.client.http('POST', '/zstack/v1/images', { body });
      assert.equal(status, 202);
      return service.client.result(json.location.split('/').at(-1));
    };
    const tagsOf = ({ systemTags }: { systemTags: { tag: string }[] }) =>
      systemTags.map(({ tag }) => tag).sort();

    it('come with what is created, beside the parameters or among them', async () => {
      const inside = { name: 'i', url, format: 'raw', systemTags: ['bootMode::UEFI'], userTags: ['inside'] };
      const { inventory } = await post({ params: inside });
      assert.deepEqual(tagsOf(inventory), ['bootMode::UEFI']);
      assert.partialDeepStrictEqual(inventory.systemTags[0], {
        resourceUuid: inventory.uuid,
        resourceType: 'ImageVO',
        type: 'System',
        inherent: false,
      });
      assert.match(inventory.systemTags[0].createDate, /^\w{3} \d+, \d{4} \d+:\d\d:\d\d [AP]M$/);
      const beside = await post({
        params: inside,
        systemTags: ['bootMode::Legacy', 'ephemeral::x'],
        userTags: [],
      });
      assert.deepEqual(tagsOf(beside.inventory), ['bootMode::Legacy']);
      const { inventories } = await service.client.call('QueryUserTag', { conditions: ['tag=inside'] });
      assert.deepEqual(
        inventories.map((tag: { resourceUuid: string }) => tag.resourceUuid),
        [inventory.uuid],
      );
      const none = await post({ params: { name: 'n', url, format: 'raw' }, systemTags: null });
      assert.deepEqual(none.inventory.systemTags, []);
    });

    it('that say how a guest starts follow the architecture', async () => {
      const params = { name: 'arm', url, format: 'raw', architecture: 'aarch64' };
      const { inventory } = await post({ params, systemTags: ['bootMode::Legacy', 'packer'] });
      assert.deepEqual(tagsOf(inventory), ['bootMode::UEFI', 'packer']);
      const { inventory: plain } = await post({ params: { ...params, architecture: 'x86_64' } });
      assert.deepEqual(tagsOf(plain), []);
      const changed = { uuid: plain.uuid, architecture: 'aarch64' };
      const updated = await service.client.call('UpdateImage', changed);
      assert.deepEqual(tagsOf(updated.inventory), ['bootMode::UEFI']);
    });

    it('that are wrong make the call fail, with nothing left of it', async () => {
      const count = async () => (await service.client.call('QueryImage', { count: true })).total;
      const before = await count();
      for (const tags of [
        { systemTags: ['bootMode::BIOS'] },
        { systemTags: ['bootMode::UEFI', 'bootMode::Legacy'] },
        { userTags: ['a', 'a'] },
        { userTags: ['x'.repeat(2049)] },
      ]) {
        await assert.rejects(
          post({ params: { name: 'i', url, format: 'raw' }, ...tags }),
          JSON.stringify(tags),
        );
      }
      await assert.rejects(
        post({ params: { name: 'i', url, format: 'raw', userTags: ['x'.repeat(2049)] } }),
        {
          code: 'SYS.1007',
          message: "'userTags' may have at most 2048 characters, but has 2049",
        },
      );
      assert.equal(await count(), before);
    });

    it('are created, queried and deleted, and go with the image', async () => {
      const { inventory: image } = await post({ params: { name: 'mine', url, format: 'raw' } });
      const call = { resourceType: 'ImageVO', resourceUuid: image.uuid };
      const { inventory } = await service.client.call('CreateUserTag', { ...call, tag: 'golden' });
      await service.client.call('CreateSystemTag', { ...call, tag: 'qemuga' });
      await service.client.call('CreateSystemTags', { ...call, tags: ['packer', 'remote'] });
      const found = await service.client.call('QueryImage', { conditions: ['__userTag__=golden'] });
      assert.deepEqual(tagsOf(found.inventories[0]), ['packer', 'qemuga', 'remote']);
      const byUuid = await service.client.http('GET', `/zstack/v1/user-tags/${inventory.uuid}`);
      assert.equal(byUuid.json.inventories[0].tag, 'golden');
      const where = encodeURIComponent(
        "__systemTag__=packer AND (name=MINE OR name=x) and __userTag__!='red'",
      );
      const searched = await service.client.http(
        'GET',
        `/zstack/v1/images?where=${where}&sort=name,-createDate`,
      );
      assert.equal(searched.json.inventories?.[0]?.uuid, image.uuid, searched.text);
      await service.client.call('DeleteTag', { uuid: inventory.uuid });
      await service.client.call('DeleteTag', { uuid: inventory.uuid });
      await service.client.call('DeleteImage', { uuid: image.uuid });
      const left = await service.client.call('QuerySystemTag', {
        conditions: [`resourceUuid=${image.uuid}`],
      });
      assert.deepEqual(left.inventories, []);
    });
  });
}
