/**
 * What the image chapter says of virtual machines (State, Status, Media Type, Platform, System Image, Format;
 * related-chapters.md, Virtual machine; zstack-api.md 5.7): each rule once, here. Where an image's bytes come from, and
 * that a copy on a Disabled storage is no copy, is `volume/image-source.ts`.
 */
import type { Sql } from '../database/database.ts';
import { isParavirtual } from '../image/guest.ts';
import type { Image } from '../image/image.ts';
import { IngotError } from '../kernel/errors.ts';
import type { RowOf } from '../kernel/resource.ts';
import type { VmInstanceRow } from './vm-instance.ts';

export type ImageRow = RowOf<typeof Image>;

/** Which formats a hypervisor takes (image chapter, Format); an ISO is a medium and no disk. */
const FORMATS: Record<VmInstanceRow['hypervisorType'], readonly string[]> = { KVM: ['qcow2', 'raw'] };

/** How a root volume comes to be: thinly over a template, or blank, with the ISO in the CD drive. */
export type RootFrom = 'template' | 'iso';

/** @throws IngotError SYS.1003 where there is no such image, else SYS.1006 with the rule that it is against */
export async function requireBootable(
  on: Sql,
  uuid: string,
  vm: { type: VmInstanceRow['type']; hypervisorType: VmInstanceRow['hypervisorType'] },
): Promise<{ image: ImageRow; from: RootFrom }> {
  const image = await on.selectFrom('image').selectAll().where('uuid', '=', uuid).executeTakeFirst();
  if (!image) throw new IngotError('SYS.1003', `there is no Image with the uuid ${uuid}`);
  requireUsable(image);
  if (image.mediaType === 'DataVolumeTemplate') {
    throw refusal(
      image,
      'is a DataVolumeTemplate; virtual machines are made from a RootVolumeTemplate or an ISO',
      'Make a data volume of it with CreateDataVolumeFromVolumeTemplate, and attach that.',
    );
  }
  if (image.system && vm.type === 'UserVm') {
    throw refusal(
      image,
      'is a system image; only appliance virtual machines (type=ApplianceVm) are made from it',
    );
  }
  if (!image.system && vm.type === 'ApplianceVm') {
    throw refusal(image, 'is no system image; appliance virtual machines are made from those alone');
  }
  await requireBios(on, image);
  const from = image.mediaType === 'ISO' ? 'iso' : 'template';
  const formats = from === 'iso' ? ['iso'] : FORMATS[vm.hypervisorType];
  if (image.format === null || !formats.includes(image.format)) {
    throw refusal(
      image,
      `has the format ${image.format ?? 'unknown'}, and ${from === 'iso' ? 'a CD drive' : vm.hypervisorType} takes ${formats.join(' or ')}`,
    );
  }
  return { image, from };
}

/** The firmware that there is is a BIOS; UEFI_WITH_CSM can do as one. */
async function requireBios(on: Sql, image: ImageRow): Promise<void> {
  const uefi = await on
    .selectFrom('systemTag')
    .select('uuid')
    .where('resourceUuid', '=', image.uuid)
    .where('tag', '=', 'bootMode::UEFI')
    .executeTakeFirst();
  if (!uefi) return;
  throw new IngotError(
    'SYS.1013',
    `image '${image.name}' (${image.uuid}) boots by UEFI (bootMode::UEFI), and virtual machines have a BIOS here`,
    { elaboration: 'If it can boot by a BIOS as well, say so with SetImageBootMode bootMode=UEFI_WITH_CSM.' },
  );
}

/** The image, if it may go into a CD drive. */
export async function requireIso(on: Sql, uuid: string): Promise<ImageRow> {
  const image = await on.selectFrom('image').selectAll().where('uuid', '=', uuid).executeTakeFirst();
  if (!image) throw new IngotError('SYS.1003', `there is no Image with the uuid ${uuid}`);
  requireUsable(image);
  if (image.mediaType === 'ISO') return image;
  throw refusal(image, `is a ${image.mediaType}; only an ISO goes into a CD drive`);
}

function requireUsable(image: ImageRow): void {
  if (image.state !== 'Enabled') {
    throw refusal(
      image,
      `is ${image.state}; no virtual machine can be created from it`,
      'Put it into use with ChangeImageState stateEvent=enable.',
    );
  }
  if (image.status !== 'Ready') throw refusal(image, `is ${image.status}, not Ready`);
}

/** Bytes of the root volume; SYS.1007 where an ISO comes without, or a template would not fit. */
export function rootSize(image: ImageRow, from: RootFrom, asked: number | undefined): number {
  if (from === 'iso') {
    if (asked !== undefined) return asked;
    throw new IngotError(
      'SYS.1007',
      `image '${image.name}' (${image.uuid}) is an ISO, and its root volume is blank: give 'rootDiskSize' or 'rootDiskOfferingUuid'`,
      { opaque: { parameter: 'rootDiskSize' } },
    );
  }
  if (asked === undefined || asked >= image.size) return asked ?? image.size;
  throw new IngotError(
    'SYS.1007',
    `'rootDiskSize' ${asked} is smaller than image '${image.name}', which has ${image.size} bytes`,
    { opaque: { parameter: 'rootDiskSize' } },
  );
}

/** What a guest of the platform is given (image chapter, Platform). */
export function devicesFor(platform: ImageRow['platform']): {
  paravirtual: boolean;
  nic: 'virtio' | 'e1000';
} {
  const paravirtual = isParavirtual(platform);
  return { paravirtual, nic: paravirtual ? 'virtio' : 'e1000' };
}

function refusal({ name, uuid }: ImageRow, why: string, elaboration?: string): IngotError {
  return new IngotError('SYS.1006', `image '${name}' (${uuid}) ${why}`, elaboration ? { elaboration } : {});
}
