/** Scenarios of images' copies: made, renewed, scrubbed, registered again, and brought by an upload. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Upload } from 'tus-js-client';
import { type TestClient, until } from '../support/service.ts';
import {
  addImage,
  addStorages,
  found,
  type Known,
  made,
  NEW,
  OPEN,
  type Scenario,
  type World,
} from './scenario.ts';

/** An image's copy, as its inventory tells it. */
interface Copy {
  backupStorageUuid: string;
  installPath: string;
  status: string;
  damage?: string;
}

async function copiesOf(client: TestClient, image: string | undefined): Promise<Copy[]> {
  const one = await found(client, 'Image', image);
  assert.equal(one?.status, 'Ready');
  for (const { status } of one.backupStorageRefs) assert.equal(status, 'Ready');
  return one.backupStorageRefs;
}

async function copyOn(
  client: TestClient,
  image: string | undefined,
  storage: string | undefined,
): Promise<Copy> {
  const copy = (await copiesOf(client, image)).find((one) => one.backupStorageUuid === storage);
  assert.ok(copy, `image ${image} has a copy on ${storage}`);
  return copy;
}

/** One byte in the middle is another. */
function spoil({ installPath }: Copy): void {
  const bytes = readFileSync(installPath);
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(installPath, bytes);
}

/** What fsck finds of a copy that is not whole, whatever its row says. */
const damageAt = ({ installPath: file }: Copy): Known[] => [
  { kind: 'wrong-digest', file },
  { kind: 'missing-bytes', file },
];

/** Sends the bytes of an upload that still waits for them, if one does, and sees its job end. */
async function bringBytes(client: TestClient, { url }: World): Promise<void> {
  const awaited = await until('the upload to be awaited, or over', async () => {
    const open = await client.query('LongJob', OPEN);
    const { existingJobDetails } = await client.call('GetUploadImageJobDetails', { imageId: 'new' });
    return existingJobDetails[0] ?? (open.length === 0 && 'over');
  });
  if (awaited === 'over') return;
  const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
  const upload = new Upload(bytes, {
    // The service has another port since it was told.
    uploadUrl: client.address + new URL(awaited.imageUploadUrl).pathname,
    uploadSize: bytes.length,
    retryDelays: Array(20).fill(50),
    // The job knows better what became of it.
    onError: () => {},
  });
  upload.start();
  await client.result(awaited.longJobUuid);
}

export const COPYING: readonly Scenario[] = [
  {
    name: 'AddImageToBackupStorage, a further copy',
    prepare: async (client, world) => {
      const things = await addStorages(client, world, 'second', 'third');
      return { ...things, image: await addImage(client, world, { backupStorageUuids: [things.first] }) };
    },
    act: ({ image, second, third }) => ({
      message: 'AddImageToBackupStorage',
      parameters: { uuid: image, backupStorageUuids: [second, third] },
    }),
    verify: async (client, { image, first, second, third }, answer) => {
      const copies = await copiesOf(client, image);
      for (const { damage } of copies) assert.equal(damage, undefined);
      const failed = (answer?.failures ?? []).map((one: Copy) => one.backupStorageUuid);
      const wanted = answer ? [second, third].filter((uuid) => !failed.includes(uuid)) : [];
      const there = copies.map(({ backupStorageUuid }) => backupStorageUuid);
      assert.deepEqual(there.sort(), [first, ...wanted].sort());
    },
  },
  {
    name: 'AddImageToBackupStorage, a damaged copy and a lost one renewed',
    prepare: async (client, world) => {
      const things = await addStorages(client, world, 'second', 'third');
      const { first, second, third } = things;
      const image = await addImage(client, world, { backupStorageUuids: [first, second, third] });
      spoil(await copyOn(client, image, second));
      await rm((await copyOn(client, image, third)).installPath);
      for (const uuid of [second, third]) await client.call('ScrubBackupStorage', { uuid });
      return { ...things, image };
    },
    act: ({ image, second, third }) => ({
      message: 'AddImageToBackupStorage',
      parameters: { uuid: image, backupStorageUuids: [second, third] },
    }),
    verify: async (client, { image, first, second, third }, answer) => {
      const copies = await copiesOf(client, image);
      const damaged = copies.filter(({ damage }) => damage !== undefined);
      const failed = (answer?.failures ?? []).map((one: Copy) => one.backupStorageUuid);
      const left = answer ? failed : [second, third];
      assert.deepEqual(damaged.map(({ backupStorageUuid }) => backupStorageUuid).sort(), left.sort());
      assert.deepEqual(copies.map((one) => one.backupStorageUuid).sort(), [first, second, third].sort());
      return damaged.flatMap(damageAt);
    },
  },
  {
    name: 'ScrubBackupStorage, with a copy to repair',
    prepare: async (client, world) => {
      const things = await addStorages(client, world, 'second');
      const { first, second } = things;
      const image = await addImage(client, world, { backupStorageUuids: [first, second] });
      const sound = await addImage(client, world, { backupStorageUuids: [second] });
      spoil(await copyOn(client, image, second));
      return { ...things, image, sound };
    },
    act: ({ second }) => ({ message: 'ScrubBackupStorage', parameters: { uuid: second, repair: true } }),
    verify: async (client, { image, sound, first, second }, answer) => {
      const copy = await copyOn(client, image, second);
      const good = [await copyOn(client, image, first), await copyOn(client, sound, second)];
      for (const { damage } of good) assert.equal(damage, undefined);
      if (!answer) return damageAt(copy);
      const { checkedCopies, damagedCopies, repairedCopies, findings } = answer;
      assert.deepEqual([checkedCopies, damagedCopies, repairedCopies], [2, 1, findings[0].repaired ? 1 : 0]);
      assert.equal(findings[0].imageUuid, image);
      if (findings[0].repaired) assert.equal(copy.damage, undefined);
      else assert.ok(findings[0].error);
      return copy.damage === undefined ? [] : damageAt(copy);
    },
  },
  {
    name: 'RebuildFromStorage',
    prepare: async (client, world) => {
      const [storage] = await client.query('BackupStorage', 'name=local');
      const images = [await addImage(client, world), await addImage(client, world)];
      const files = (await Promise.all(images.map((image) => copiesOf(client, image)))).flat();
      const isDescribed = ({ installPath }: Copy) =>
        existsSync(installPath.replace(/\.template$/, '.ingot.json'));
      await until('the copies to be described', () => files.every(isDescribed));
      // The rows go, and the files are there as before.
      const [there, aside] = [join(storage?.url, 'templates'), world.directory('aside')];
      await cp(there, aside, { recursive: true });
      for (const uuid of images) await client.call('DeleteImage', { uuid });
      await until('the copies to be gone', () => !existsSync(there));
      await cp(aside, there, { recursive: true });
      await rm(aside, { recursive: true });
      return { storage: storage?.uuid, one: images[0] ?? '', other: images[1] ?? '' };
    },
    act: ({ storage }) => ({ message: 'RebuildFromStorage', parameters: { uuid: storage } }),
    verify: async (client, { storage, one, other }, answer) => {
      const known: Known[] = [];
      for (const image of [one, other]) {
        if (await found(client, 'Image', image)) await copyOn(client, image, storage);
        else known.push({ kind: 'unregistered', file: `/${image}/` });
      }
      if (!answer) return known;
      assert.equal(known.length, 0, 'an image is not registered');
      assert.equal(answer.registered + answer.known, 2);
      assert.deepEqual(answer.refused, []);
      return known;
    },
  },
  {
    name: 'an upload',
    act: (_, { sha256, size }) => ({
      message: 'AddImage',
      parameters: {
        name: 'new',
        url: 'upload://new',
        uploadSize: size,
        sha256Sum: sha256,
        resourceUuid: NEW,
      },
    }),
    bring: bringBytes,
    verify: async (client, things, answer) => {
      await made('Image')(client, things, answer);
      // No longer where the bytes were awaited.
      if (answer)
        for (const { installPath } of await copiesOf(client, NEW)) assert.ok(existsSync(installPath));
    },
  },
];
