/** What somebody else has written beside a copy is held to the rules of the calls that would have made it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ADMIN_UUID } from '../../src/account/account.ts';
import { writeDescription } from '../../src/image/description.ts';
import { SecretBox } from '../../src/kernel/secret-box.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { isoDisc } from '../hostile/disks.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { smallExt4Disk } from '../support/small-disks.ts';

type Description = Parameters<typeof writeDescription>[0];
interface Case {
  image?: Record<string, unknown>;
  more?: Partial<Record<keyof Description, unknown>>;
  iso?: boolean;
  signed?: boolean;
}

const KEY = 'ab'.repeat(32);
const VERIFIED = { tag: 'boot::verified::2026-01-01', inherent: true };
const FAILED = { tag: "boot::failed::it said last: '\x1b[31mno root'", inherent: true };
const MADE = Date.UTC(2026, 0, 1);
const digest = (algorithm: string, bytes: Buffer) => createHash(algorithm).update(bytes).digest('hex');
const tags = (count: number) => Array.from({ length: count }, (_, i) => `tag ${i}`);

const REFUSED: Record<string, Case & { because: RegExp }> = {
  'a date that no calendar has': {
    image: { createDate: 8e15, lastOpDate: 9e15 },
    because: /'lastOpDate' must be a date/,
  },
  'more tags than may be': {
    more: { userTags: tags(600), systemTags: tags(401).map((tag) => ({ tag, inherent: true })) },
    because: /it has 1001 tags, and may have at most 1000/,
  },
  'an MD5 that is none': { image: { md5Sum: 'zzzz' }, because: /the copy's MD5 is [0-9a-f]{32}, not zzzz/ },
  "another file's MD5": { image: { md5Sum: '0'.repeat(32) }, because: /the copy's MD5 is .*, not 0{32}/ },
  'a disk that is called an ISO': { image: { mediaType: 'ISO' }, because: /ISO needs the format iso/ },
  'an ISO that is called a disk': {
    iso: true,
    image: { mediaType: 'RootVolumeTemplate' },
    because: /iso needs 'mediaType' ISO/,
  },
  'an ISO for appliances': { iso: true, image: { system: true }, because: /can't be a system image/ },
  'a system tag of no pattern': {
    more: { systemTags: [{ tag: 'nonsense::x', inherent: false }] },
    because: /'nonsense::x' is no system tag of ImageVO/,
  },
  "the service's tag in a user's name": {
    more: { systemTags: [{ ...VERIFIED, inherent: false }] },
    because: /is put on by the service alone/,
  },
  'two tags where one may be': {
    more: { systemTags: ['UEFI', 'Legacy'].map((mode) => ({ tag: `bootMode::${mode}`, inherent: false })) },
    because: /can have one such only/,
  },
  'control characters in a user tag': {
    more: { userTags: ['\0\x1b[2J'] },
    because: /'tag' must not hold control characters/,
  },
  'control characters in a system tag': {
    more: { systemTags: [{ tag: 'sourceType::\x1b[2J', inherent: false }] },
    because: /'tag' must not hold control characters/,
  },
};

const REGISTERED: Record<string, Case> = {
  'with nothing to object to': { more: { userTags: tags(1000) } },
  'that is an ISO': { iso: true },
  'with a password in its url': {
    image: { url: 'http://me:hunter2@server/x?X-Amz-Signature=hunter3' },
  },
  "with another service's tags": {
    more: {
      systemTags: [VERIFIED, { tag: 'nonsense::x', inherent: true }, { tag: 'qemuga', inherent: false }],
    },
  },
  'of our own': {
    signed: true,
    more: { userTags: tags(1001), systemTags: [VERIFIED, FAILED, { tag: 'qemuga', inherent: false }] },
  },
};

describe("others' descriptions of images", () => {
  let service: TestService;
  const uuids = new Map<string, string>();
  let answer: { registered: number; refused: { path: string; reason: string }[] };
  before(async () => {
    service = await startTestService({ settings: { secretKey: KEY } });
    const disk = readFileSync((await smallExt4Disk()).path);
    const disc = isoDisc();
    const secrets = new SecretBox(() => Buffer.from(KEY, 'hex'));
    for (const [name, { iso, image, more, signed }] of Object.entries({ ...REFUSED, ...REGISTERED })) {
      const uuid = newUuid();
      uuids.set(name, uuid);
      const place = join(service.data, 'backup-storage', 'templates', `acct-${ADMIN_UUID}`, uuid);
      mkdirSync(place, { recursive: true });
      const bytes = iso ? disc : disk;
      writeFileSync(join(place, `${uuid}.template`), bytes);
      const described: Description = {
        ingot: 1,
        image: {
          ...{ uuid, name, description: null, state: 'Enabled', status: 'Ready', type: 'zstack' },
          ...{ size: bytes.length, actualSize: bytes.length, format: iso ? 'iso' : 'raw' },
          ...{ md5Sum: digest('md5', bytes), sha256Sum: digest('sha256', bytes) },
          ...{ url: 'http://server/x', mediaType: iso ? 'ISO' : 'RootVolumeTemplate', guestOsType: null },
          ...{ platform: 'Linux', architecture: 'x86_64', system: false, virtio: true },
          ...{ createDate: MADE, lastOpDate: MADE },
          ...image,
        },
        ...{ status: 'Ready', userTags: [], systemTags: [] },
        ...(more as Partial<Description>),
      };
      const text = writeDescription(described, secrets);
      writeFileSync(join(place, `${uuid}.ingot.json`), signed ? text : (text.split('\n')[0] ?? ''));
    }
    const [storage] = await service.client.query('BackupStorage');
    const call = { uuid: storage?.uuid, acceptForeign: true };
    answer = (await service.client.call('RebuildFromStorage', call)) as typeof answer;
  });
  after(() => service.stop());

  for (const [name, { because }] of Object.entries(REFUSED)) {
    it(`are refused: ${name}`, async () => {
      const uuid = uuids.get(name) ?? '';
      assert.match(answer.refused.find(({ path }) => path.includes(uuid))?.reason ?? 'registered', because);
    });
  }

  const registered = async (name: string) => {
    const [image] = await service.client.query('Image', `uuid=${uuids.get(name)}`);
    return image ?? assert.fail(JSON.stringify(answer.refused));
  };
  const systemTagsOf = async (name: string) =>
    (await service.client.query('SystemTag', `resourceUuid=${uuids.get(name)}`))
      .map(({ tag, inherent }) => ({ tag, inherent }))
      .sort((a, b) => (a.tag < b.tag ? -1 : 1));

  it('are taken where they keep the rules, and then everything can be queried', async () => {
    assert.equal(answer.registered, Object.keys(REGISTERED).length);
    const images = await service.client.query('Image');
    assert.deepEqual(images.map(({ name }) => name).sort(), Object.keys(REGISTERED).sort());
    const { format, mediaType } = await registered('that is an ISO');
    assert.deepEqual([format, mediaType], ['iso', 'ISO']);
  });

  it('are taken without the secrets of a url', async () => {
    const { url } = await registered('with a password in its url');
    assert.equal(url, 'http://me:***@server/x?X-Amz-Signature=***');
  });

  it('are taken without the tags of the service that wrote them, which is logged', async () => {
    const name = "with another service's tags";
    assert.deepEqual(await systemTagsOf(name), [{ tag: 'qemuga', inherent: false }]);
    const logged = service.log().split('\n');
    const notes = logged.filter((line) => /another service's tag was left out/.test(line));
    assert.equal(notes.filter((line) => line.includes(uuids.get(name) ?? '-')).length, 2);
  });

  it('are not what our own are: those come back as they were', async () => {
    assert.deepEqual(await systemTagsOf('of our own'), [
      FAILED,
      VERIFIED,
      { tag: 'qemuga', inherent: false },
    ]);
    const q = [`resourceUuid=${uuids.get('of our own')}`];
    const { total } = await service.client.call('QueryUserTag', { q, replyWithCount: true, limit: 1 });
    assert.equal(total, 1001);
  });
});
