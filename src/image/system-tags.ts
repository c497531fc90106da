import type { SystemTagPattern } from '../kernel/resource.ts';

/** The system tags of images (zstack-api.md 5.9). */
export const SYSTEM_TAG_PATTERNS: Readonly<Record<string, SystemTagPattern>> = {
  'bootMode::{bootMode}': {
    doc: 'How its guest starts.',
    values: ['Legacy', 'UEFI', 'UEFI_WITH_CSM'],
    single: true,
  },
  'applianceType::{applianceType}': { doc: 'The kind of appliance that is made from it, such as vrouter.' },
  qemuga: { doc: "Its guest has QEMU's guest agent." },
  'GuestTools::{version}': { doc: 'Its guest has the guest tools, in this version.' },
  packer: { doc: 'Packer has built it.' },
  'buildapp::{buildapp}': { doc: 'The build application that it comes from.' },
  'sourceType::{sourceType}': { doc: 'Where it comes from.' },
  remote: { doc: 'It comes from another site.' },
  'marketplace::true': { doc: 'It comes from a marketplace.' },
  'image::cert::{certificate}': { doc: 'The certificate that it is signed with.' },
  'imageName::{imageName}::primaryStorageUuid::{primaryStorageUuid}': {
    doc: 'Its name on a primary storage.',
  },
  CreatedBySystem: { doc: 'The service has made it for its own use.' },
  'boot::verified::{date}': {
    doc: 'VerifyImageBoots has seen its guest come up, on that day (UTC).',
    single: true,
    byService: true,
  },
  'boot::failed::{reason}': {
    doc: 'VerifyImageBoots has not seen its guest come up, and why.',
    single: true,
    byService: true,
  },
  temporary: { doc: 'It is to be deleted soon.' },
};
