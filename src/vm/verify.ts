/** VerifyImageBoots: a throw-away virtual machine, which no row tells of, says whether an image starts. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Image } from '../image/image.ts';
import type { Job, JobOperation } from '../job/operation.ts';
import { sleep } from '../kernel/clock.ts';
import { newUuid } from '../kernel/uuid.ts';
import { takeRoom } from '../primary-storage/capacity.ts';
import { throwAway } from '../primary-storage/trash.ts';
import { dropSystemTags, replaceSystemTag } from '../tag/tags.ts';
import { storageFor } from '../volume/image-source.ts';
import { newLayerPath, wholeSectors } from '../volume/volumes.ts';
import { requireRoom, requireSuitable } from './hosts.ts';
import type { Machine } from './hypervisor.ts';
import type { VerifyImageBoots } from './messages.ts';
import { devicesFor, requireBootable } from './rules.ts';
import { ScreenWatch } from './screen-watch.ts';
import type { VmParts } from './vms.ts';
import { findWords } from './words.ts';

interface Checkpoint {
  imageUuid: string;
  storageUuid: string;
  path: string;
  size: number;
  iso: boolean;
  machine: Omit<Machine, 'disks' | 'cd'>;
  diskUuid: string;
  /** What answers for the machine's directory when files are held against rows. */
  directory: string;
}

interface Outcome {
  boots: boolean;
  evidence: string;
}

/** How often the guest is looked at, in milliseconds. */
const LOOK = 500;
/** Pictures that are alike in a row, after some that were not: the screen has come to rest. */
const AT_REST = 8;
const SOME_CHANGES = 3;
/** What a blank root volume has for an ISO. */
const BLANK = 2 ** 30;
const LOG_IN = /\blogin: ?$|^login as:|\bPassword: ?$/m;
/** What SeaBIOS says when it has tried everything. */
const NOTHING_TO_START = /No bootable device/;

export function verifyImageBoots(
  parts: VmParts & { screens: string },
): JobOperation<typeof VerifyImageBoots, Checkpoint> {
  return {
    async admit({ parameters }, tx) {
      const { uuid: imageUuid, cpuNum = 1, memorySize = 512 * 2 ** 20 } = parameters;
      const asked = await tx
        .selectFrom('image')
        .select('system')
        .where('uuid', '=', imageUuid)
        .executeTakeFirst();
      const type = asked?.system ? 'ApplianceVm' : 'UserVm';
      const { image, from } = await requireBootable(tx, imageUuid, { type, hypervisorType: 'KVM' });
      const size = wholeSectors(from === 'iso' ? BLANK : image.size);
      const storage = await storageFor(tx, image, size, undefined);
      await takeRoom(tx, storage.uuid, size);
      const diskUuid = newUuid();
      const machine = {
        uuid: newUuid(),
        name: `verify-${image.name}`,
        architecture: image.architecture,
        paravirtual: devicesFor(image.platform).paravirtual,
        nics: [{ mac: '52:54:00:00:00:01' }],
        cpuNum,
        memorySize,
      };
      requireSuitable(await parts.hypervisor.size(), machine);
      await requireRoom(tx, parts.host.uuid, machine);
      const directory = `vms/${machine.uuid}`;
      const place = { storageUuid: storage.uuid, path: newLayerPath(diskUuid), size, diskUuid, directory };
      return { target: imageUuid, checkpoint: { imageUuid, ...place, iso: from === 'iso', machine } };
    },

    async run(job) {
      const { imageUuid, machine } = job.checkpoint;
      const begun = performance.now();
      await parts.hypervisor.forget(machine.uuid);
      await start(parts, job);
      const outcome = await watch(parts, job);
      const seconds = Math.round((performance.now() - begun) / 1000);
      const screen = await keepScreen(parts, machine.uuid, imageUuid);
      const said = await parts.hypervisor.consoleText(machine.uuid, -16_384, 16_384);
      await parts.hypervisor.forget(machine.uuid);
      return async (tx) => {
        await drop(job.checkpoint, tx);
        const there = await tx
          .selectFrom('image')
          .select('uuid')
          .where('uuid', '=', imageUuid)
          .executeTakeFirst();
        if (there) {
          const now = parts.clock.now();
          const tagged = { resource: Image, uuid: imageUuid };
          await dropSystemTags(
            tx,
            tagged,
            outcome.boots ? 'boot::failed::{reason}' : 'boot::verified::{date}',
          );
          const tag = outcome.boots
            ? `boot::verified::${new Date(now).toISOString().slice(0, 10)}`
            : `boot::failed::${outcome.evidence.replaceAll(/:{2,}/g, ':').slice(0, 1000)}`;
          await replaceSystemTag(tx, tagged, tag, now, { inherent: true });
        }
        return { ...outcome, seconds, console: said?.text ?? '', ...(screen !== undefined && { screen }) };
      };
    },

    async undo(job) {
      await parts.hypervisor.forget(job.checkpoint.machine.uuid);
      return (tx) => drop(job.checkpoint, tx);
    },

    ended: () => void parts.trash.empty(),
  };
}

async function start(parts: VmParts, job: Job<typeof VerifyImageBoots, Checkpoint>): Promise<void> {
  const { imageUuid, storageUuid, path, size, iso, machine, diskUuid } = job.checkpoint;
  const { signal, report } = job;
  const driver = await parts.primaryStorages.driver(storageUuid);
  const entry = await parts.caches.require(storageUuid, imageUuid, { id: job.call.id, signal, report });
  // A guest that died with the service has written to it.
  await driver.remove(path);
  if (iso) await driver.blank(path, size);
  else await driver.clone(entry, path, size);
  const disks = [{ uuid: diskUuid, file: driver.location(path), deviceId: 0 }];
  const cd = iso ? { cd: driver.location(entry.path) } : {};
  await parts.hypervisor.start({ ...machine, disks, ...cd }, signal);
}

async function watch(parts: VmParts, job: Job<typeof VerifyImageBoots, Checkpoint>): Promise<Outcome> {
  const { hypervisor } = parts;
  const { uuid } = job.checkpoint.machine;
  const { seconds, pattern } = job.call.parameters;
  const find = (said: string) =>
    pattern === undefined ? LOG_IN.exec(said)?.[0].trim() : findWords(pattern, said);
  const screen = new ScreenWatch();
  const deadline = performance.now() + seconds * 1000;
  let firmware = '';
  while (performance.now() < deadline) {
    await sleep(LOOK, job.signal);
    const { is, why } = await hypervisor.state(uuid);
    const said = (await hypervisor.consoleText(uuid, -65_536, 65_536))?.text ?? '';
    const found = find(said.replaceAll('\r', ''));
    if (found !== undefined)
      return { boots: true, evidence: `the serial port said '${found.slice(0, 200)}'` };
    if (is === 'stopped')
      return {
        boots: false,
        evidence: why ?? `its guest powered off before that; it said last: '${lastLine(said)}'`,
      };
    if (is === 'unknown') return { boots: false, evidence: why ?? 'it stopped by itself' };
    firmware = (firmware + (await hypervisor.firmwareText(uuid))).slice(-16_384);
    if (NOTHING_TO_START.test(firmware)) {
      return { boots: false, evidence: 'the firmware found nothing on the disk that it could start' };
    }
    screen.see(await hypervisor.screen(uuid, 'ppm'));
    if (pattern === undefined && !screen.blank && screen.changes >= SOME_CHANGES && screen.still >= AT_REST) {
      return { boots: true, evidence: `the screen changed ${screen.changes} times and came to rest` };
    }
  }
  const missing =
    pattern === undefined
      ? 'neither a log-in prompt nor a screen that changed and came to rest'
      : `nothing on the serial port like '${pattern}'`;
  return { boots: false, evidence: `there was ${missing} within ${seconds} s` };
}

const lastLine = (text: string) => text.trim().split('\n').at(-1)?.trim().slice(0, 200) ?? '';

/** The last one of each image; those of images that are gone go with the next one that is kept. */
async function keepScreen(
  { hypervisor, database, screens }: VmParts & { screens: string },
  machineUuid: string,
  imageUuid: string,
): Promise<string | undefined> {
  const png = await hypervisor.screen(machineUuid, 'png').catch(() => undefined);
  if (!png) return undefined;
  await mkdir(screens, { recursive: true, mode: 0o750 });
  const images = await database.sql.selectFrom('image').select('uuid').execute();
  const known = new Set(images.map(({ uuid }) => `${uuid}.png`));
  for (const name of await readdir(screens)) {
    if (!known.has(name)) await rm(join(screens, name), { force: true });
  }
  const file = join(screens, `${imageUuid}.png`);
  await writeFile(file, png, { mode: 0o640 });
  return file;
}

async function drop(
  { storageUuid, path, size }: Checkpoint,
  tx: Parameters<typeof takeRoom>[0],
): Promise<void> {
  await takeRoom(tx, storageUuid, -size);
  await throwAway(tx, 'primary', storageUuid, [path]);
}
