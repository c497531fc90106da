/**
 * Volumes, snapshots, reverts, templates and deletes in random order, the service killed between any two of its
 * steps, held against a model that only knows what each disk should read as. INGOT_TEST_SECONDS makes it go on longer.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { IngotError } from '../../src/kernel/errors.ts';
import { fsckOf } from '../support/fsck.ts';
import { runProgram } from '../support/program.ts';
import { startRangeServer } from '../support/range-server.ts';
import { startServiceProcess, type TestClient } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const MIB = 2 ** 20;
const SIZE = 4 * MIB;
const SECONDS = Number(process.env.INGOT_TEST_SECONDS ?? 60);
/** A chain as short as may be, so that new trees begin often. */
const CHAIN = 3;

type Service = Awaited<ReturnType<typeof startServiceProcess>>;

/** What a disk reads as. Never changed in place. */
type Contents = Buffer;

interface Model {
  images: Map<string, { contents: Contents; mediaType: string }>;
  volumes: Map<string, { contents: Contents; type: string }>;
  snapshots: Map<string, { contents: Contents; volume: string; parent: string | undefined }>;
}

/** An action on the service; `apply` tells the model what is true once it has succeeded, and what it answered. */
interface Action {
  name: string;
  parameters: Record<string, unknown>;
  apply(answer: { inventory?: { parentUuid?: string } }): void;
}

class World {
  readonly model: Model = { images: new Map(), volumes: new Map(), snapshots: new Map() };
  readonly random: (limit: number) => number;
  readonly #scratch = temporaryDirectory();
  #all = true;

  constructor(seed: string) {
    let state = createHash('sha256').update(seed).digest();
    this.random = (limit) => {
      state = createHash('sha256').update(state).digest();
      return state.readUInt32BE(0) % limit;
    };
  }

  pick<T>(from: Iterable<T>): T | undefined {
    const all = [...from];
    return all[all.length > 0 ? this.random(all.length) : 0];
  }

  /** A guest writes to a volume, while no operation is at it. */
  async scribble(client: TestClient): Promise<void> {
    const volume = this.pick(this.model.volumes);
    if (!volume) return;
    const [uuid, { contents, type }] = volume;
    const [inventory] = await client.query('Volume', `uuid=${uuid}`);
    const after = Buffer.from(contents);
    const commands: string[] = [];
    for (let i = 0; i <= this.random(3); i++) {
      const start = this.random(SIZE / 4096) * 4096;
      const length = Math.min(SIZE - start, (1 + this.random(64)) * 4096);
      const fill = this.random(4) === 0 ? 0 : 1 + this.random(250);
      commands.push('-c', fill === 0 ? `write -z ${start} ${length}` : `write -P ${fill} ${start} ${length}`);
      after.fill(fill, start, start + length);
    }
    await runProgram('qemu-io', ['-f', 'qcow2', ...commands, inventory?.installPath]);
    this.model.volumes.set(uuid, { contents: after, type });
  }

  async read(file: string): Promise<Contents> {
    const raw = join(this.#scratch, 'disk.raw');
    await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', file, raw]);
    const contents = await readFile(raw);
    await rm(raw);
    return contents;
  }

  choose(primaryStorageUuid: string): Action | undefined {
    const { images, volumes, snapshots } = this.model;
    const uuid = newUuid();
    const image = this.pick(images);
    const volume = this.pick(volumes);
    const snapshot = this.pick(snapshots);
    const made = { name: 'x', resourceUuid: uuid };
    switch (this.random(12)) {
      case 0:
      case 1: {
        if (!image || volumes.size > 6) return undefined;
        const [imageUuid, { contents, mediaType }] = image;
        const root = mediaType === 'RootVolumeTemplate';
        return {
          name: root ? 'CreateRootVolumeFromImage' : 'CreateDataVolumeFromVolumeTemplate',
          parameters: { ...made, imageUuid, primaryStorageUuid },
          apply: () => volumes.set(uuid, { contents, type: root ? 'Root' : 'Data' }),
        };
      }
      case 2: {
        if (volumes.size > 6) return undefined;
        return {
          name: 'CreateDataVolume',
          parameters: { ...made, diskSize: SIZE, primaryStorageUuid },
          apply: () => volumes.set(uuid, { contents: Buffer.alloc(SIZE), type: 'Data' }),
        };
      }
      case 3:
      case 4:
      case 5:
      case 6: {
        if (!volume) return undefined;
        const [volumeUuid, { contents }] = volume;
        return {
          name: 'CreateVolumeSnapshot',
          parameters: { ...made, volumeUuid },
          // Which one it stands on, or that it begins a new tree, is the service's to say.
          apply: ({ inventory }) =>
            snapshots.set(uuid, { contents, volume: volumeUuid, parent: inventory?.parentUuid }),
        };
      }
      case 7: {
        if (!snapshot) return undefined;
        const [snapshotUuid, { contents, volume: of }] = snapshot;
        return {
          name: 'RevertVolumeFromSnapshot',
          parameters: { uuid: snapshotUuid },
          apply: () => {
            const before = volumes.get(of);
            if (before) volumes.set(of, { ...before, contents });
          },
        };
      }
      case 8: {
        if (!snapshot) return undefined;
        const [snapshotUuid] = snapshot;
        return {
          name: 'DeleteVolumeSnapshot',
          parameters: { uuid: snapshotUuid },
          apply: () => this.#forgetTree(snapshotUuid),
        };
      }
      case 9: {
        if (!snapshot || volumes.size > 6) return undefined;
        const [volumeSnapshotUuid, { contents }] = snapshot;
        return {
          name: 'CreateDataVolumeFromVolumeSnapshot',
          parameters: { ...made, volumeSnapshotUuid },
          apply: () => volumes.set(uuid, { contents, type: 'Data' }),
        };
      }
      case 10: {
        if (images.size > 4) {
          if (!image) return undefined;
          return {
            name: 'DeleteImage',
            parameters: { uuid: image[0] },
            apply: () => images.delete(image[0]),
          };
        }
        if (snapshot && this.random(2) === 0) {
          const [snapshotUuid, { contents }] = snapshot;
          return {
            name: 'CreateDataVolumeTemplateFromVolumeSnapshot',
            parameters: { ...made, snapshotUuid },
            apply: () => images.set(uuid, { contents, mediaType: 'DataVolumeTemplate' }),
          };
        }
        if (!volume) return undefined;
        const [of, { contents, type }] = volume;
        const root = type === 'Root';
        return {
          name: root ? 'CreateRootVolumeTemplateFromRootVolume' : 'CreateDataVolumeTemplateFromVolume',
          parameters: { ...made, [root ? 'rootVolumeUuid' : 'volumeUuid']: of },
          apply: () =>
            images.set(uuid, { contents, mediaType: root ? 'RootVolumeTemplate' : 'DataVolumeTemplate' }),
        };
      }
      default: {
        if (!volume || volumes.size < 3) return undefined;
        const [of, { type }] = volume;
        return {
          name: type === 'Root' ? 'DeleteRootVolume' : 'DeleteDataVolume',
          parameters: { uuid: of },
          apply: () => {
            volumes.delete(of);
            for (const [each, { volume: its }] of snapshots) if (its === of) snapshots.delete(each);
          },
        };
      }
    }
  }

  #forgetTree(uuid: string): void {
    this.model.snapshots.delete(uuid);
    for (const [each, { parent }] of this.model.snapshots) if (parent === uuid) this.#forgetTree(each);
  }

  /** Every disk reads as the model says, and there is nothing else; of the disks, only some unless `all`. */
  async verify(client: TestClient, why: string, all = false): Promise<void> {
    this.#all = all;
    const { model } = this;
    const [images, volumes, snapshots] = await Promise.all(
      ['Image', 'Volume', 'VolumeSnapshot'].map((resource) => client.query(resource)),
    );
    for (const [found, expected, what] of [
      [images, model.images, 'images'],
      [volumes, model.volumes, 'volumes'],
      [snapshots, model.snapshots, 'snapshots'],
    ] as const) {
      const uuids = found?.map((each) => each.uuid).sort();
      assert.deepEqual(uuids, [...expected.keys()].sort(), `${what} ${why}`);
    }
    for (const snapshot of snapshots ?? []) {
      const known = model.snapshots.get(snapshot.uuid);
      assert.equal(snapshot.parentUuid, known?.parent, why);
      assert.equal(snapshot.status, 'Ready', why);
      assert.ok(snapshot.distance <= CHAIN, why);
      await this.#same(
        snapshot.primaryStorageInstallPath,
        known?.contents,
        `snapshot ${snapshot.uuid} ${why}`,
      );
    }
    for (const volume of volumes ?? []) {
      assert.equal(volume.status, 'Ready', why);
      await this.#same(
        volume.installPath,
        model.volumes.get(volume.uuid)?.contents,
        `volume ${volume.uuid} ${why}`,
      );
      const latest = (snapshots ?? []).filter((each) => each.volumeUuid === volume.uuid && each.latest);
      assert.ok(latest.length <= 1, why);
    }
    for (const image of images ?? []) {
      assert.equal(image.status, 'Ready', why);
      const [copy] = image.backupStorageRefs;
      await this.#same(
        copy.installPath,
        model.images.get(image.uuid)?.contents,
        `image ${image.uuid} ${why}`,
      );
    }
  }

  async #same(file: string, contents: Contents | undefined, what: string): Promise<void> {
    if (!this.#all && this.random(3) !== 0) return;
    const found = await this.read(file);
    assert.ok(contents && found.equals(contents), `${what} (${file}) does not read as it should`);
  }
}

function newUuid(): string {
  const hex = randomBytes(16).toString('hex');
  return `${hex.slice(0, 12)}4${hex.slice(13, 16)}a${hex.slice(17)}`;
}

describe('a service killed at random moments of work on volumes', () => {
  it('keeps every disk as it should be', { timeout: SECONDS * 1000 + 200_000 }, async (t) => {
    const seed = process.env.INGOT_TEST_SEED ?? String(randomInt(2 ** 40));
    t.diagnostic(`INGOT_TEST_SEED=${seed}`);
    const world = new World(seed);
    const data = temporaryDirectory();
    const settings = { jobLease: 2 };
    const disk = join(temporaryDirectory(), 'disk.qcow2');
    const contents = Buffer.alloc(SIZE);
    contents.fill(90, 0, MIB);
    contents.fill(91, 3 * MIB);
    await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', disk, String(SIZE)]);
    await runProgram('qemu-io', ['-f', 'qcow2', '-c', 'write -P 90 0 1M', '-c', 'write -P 91 3M 1M', disk]);
    const server = await startRangeServer({ files: { '/disk.qcow2': await readFile(disk) } });
    let service: Service = await startServiceProcess({ data, settings });
    const { inventory } = await service.client.call('AddImage', {
      name: 'first',
      url: server.url('/disk.qcow2'),
    });
    world.model.images.set(inventory.uuid, { contents, mediaType: 'RootVolumeTemplate' });
    await service.client.call('UpdateGlobalConfig', {
      category: 'volumeSnapshot',
      name: 'incrementalSnapshot.maxNum',
      value: String(CHAIN),
    });
    const [storage] = await service.client.query('PrimaryStorage');
    const done: string[] = [];
    let kills = 0;
    let midway = 0;
    const deadline = Date.now() + SECONDS * 1000;

    while (Date.now() < deadline) {
      if (world.random(3) === 0) await world.scribble(service.client);
      const action = world.choose(storage?.uuid);
      if (!action) continue;
      const job = await service.client.begin(action.name, action.parameters);
      const kill = world.random(2) === 0;
      if (kill) {
        await sleep(world.random(60));
        await service.kill();
        kills++;
        const findings = await fsckOf(service, { deep: kills % 5 === 0 });
        assert.deepEqual(findings, [], `after a kill in ${action.name} ${JSON.stringify(action.parameters)}`);
        service = await startServiceProcess({ data, settings });
      }
      try {
        action.apply(await service.client.result(job));
        done.push(action.name);
        if (kill) midway++;
      } catch (error) {
        // Killed before it was written down, the call is as if it had never been made.
        const forgotten = kill && /404/.test(String(error));
        assert.ok(forgotten || error instanceof IngotError, String(error));
        if (!forgotten && !kill) throw error;
      }
      const all = done.length % 20 === 0;
      if (kill || all) await world.verify(service.client, `after ${action.name}, seed ${seed}`, all);
    }
    await world.verify(service.client, `at the end, seed ${seed}`, true);
    await service.stop();
    assert.deepEqual(await fsckOf(service), []);
    await server.close();
    t.diagnostic(`${done.length} actions, ${kills} kills, ${midway} calls that ended well all the same`);
  });
});
