import { Image } from '../image/image.ts';
import { boolean, bytes, choice, date, integer, text, uuid } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, NAME, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';
import { PrimaryStorage } from '../primary-storage/primary-storage.ts';
import { DiskOffering } from './disk-offering.ts';

export const Volume = defineResource({
  name: 'Volume',
  tags: { system: {} },
  doc: 'A disk of a virtual machine: a thin qcow2 over an image in the cache of its primary storage, or over nothing.',
  source: 'related-chapters.md, Volume; zstack-api.md 4.6',
  fields: {
    uuid: UUID,
    name: NAME,
    description: DESCRIPTION,
    primaryStorageUuid: uuid('Where it is; absent while it is nowhere yet.', {
      optional: true,
      references: 'PrimaryStorage',
    }),
    vmInstanceUuid: uuid('The virtual machine that has it.', { optional: true, references: 'VmInstance' }),
    diskOfferingUuid: uuid('The offering it was made from.', { optional: true, references: 'DiskOffering' }),
    rootImageUuid: uuid('The image it was made from; perhaps deleted meanwhile.', {
      optional: true,
      references: 'Image',
    }),
    installPath: text('The file that a hypervisor opens.', { optional: true, max: 4096 }),
    type: choice('What it is for.', { Root: 'the system of a virtual machine', Data: 'anything else' }),
    format: choice('How it is laid out.', { qcow2: 'QEMU copy on write' }, { optional: true }),
    size: bytes('Virtual size in bytes: what a virtual machine sees.'),
    actualSize: bytes(
      'Bytes that its own layer takes on the storage, when that was last looked at; see SyncVolumeSize.',
      { since: 'ingot' },
    ),
    deviceId: integer('0 for a root volume, then in the order of attaching.', { optional: true }),
    state: choice('Set by its owner; a root volume is always Enabled.', {
      Enabled: 'may be used',
      Disabled: 'may not be attached, nor made a template of',
    }),
    status: choice('Where it is in its life.', {
      NotInstantiated: 'a promise; it comes to be when it is first attached',
      Creating: 'being made; not usable',
      Ready: 'usable',
      Deleted: 'being removed',
    }),
    isShareable: boolean('Whether several virtual machines may have it.', { since: '2.0' }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
    lastDetachDate: date('When it was last detached.', { optional: true }),
    lastAttachDate: date('When it was last attached.', { optional: true }),
  },
  columns: {
    /** Of the layer that is written to, inside the storage. */
    path: text('', { optional: true }),
    /** The image in the cache that its lowest layer stands on; keeps that entry. */
    baseImageUuid: uuid('', { optional: true }),
    /** The snapshot whose layer its own stands on: the latest of its current tree. */
    baseSnapshotUuid: uuid('', { optional: true }),
  },
  references: {
    image: {
      to: Image,
      by: 'rootImageUuid',
      doc: 'The image it was made from.',
      inverse: { name: 'volume', doc: 'The volumes made from it.' },
    },
    primaryStorage: {
      to: PrimaryStorage,
      by: 'primaryStorageUuid',
      doc: 'Where it is.',
      inverse: { name: 'volume', doc: 'The volumes on it.' },
    },
    diskOffering: {
      to: DiskOffering,
      by: 'diskOfferingUuid',
      doc: 'The offering it was made from.',
      inverse: { name: 'volume', doc: 'The volumes made from it.' },
    },
  },
});

export type VolumeRow = RowOf<typeof Volume>;

declare module '../database/database.ts' {
  interface Tables {
    volume: VolumeRow;
  }
}
