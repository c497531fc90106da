/** Features of qcow2 that the inspector takes and an older QEMU doesn't know. */

/** Bits of the incompatible features, by what they are called here: since QEMU 5.1 (where it was built so), 5.2. */
const BITS = { zstd: 8, extendedL2: 16 } as const;

export type NewerFeature = keyof typeof BITS;

const HEADER = 112;
const CLUSTER_BITS = 16;
const CLUSTER = 2 ** CLUSTER_BITS;
/** The header, the refcount table, a refcount block and the L1 table. */
const CLUSTERS = 4;

/** @param head the first 104 bytes of a qcow2 that the inspector has taken */
export function newerFeatures(head: Buffer): NewerFeature[] {
  if (head.readUInt32BE(4) === 2) return [];
  const features = head.readUInt32BE(76);
  return (Object.keys(BITS) as NewerFeature[]).filter((name) => features & BITS[name]);
}

/** A sound, empty image that asks for the feature and for nothing else. Whoever refuses it doesn't know the feature. */
export function sampleWith(feature: NewerFeature): Buffer {
  const bytes = Buffer.alloc(CLUSTERS * CLUSTER);
  bytes.write('QFI\xfb', 0, 'latin1');
  bytes.writeUInt32BE(3, 4);
  bytes.writeUInt32BE(CLUSTER_BITS, 20);
  bytes.writeBigUInt64BE(BigInt(CLUSTER), 24);
  bytes.writeUInt32BE(1, 36);
  bytes.writeBigUInt64BE(BigInt(3 * CLUSTER), 40);
  bytes.writeBigUInt64BE(BigInt(CLUSTER), 48);
  bytes.writeUInt32BE(1, 56);
  bytes.writeUInt32BE(BITS[feature], 76);
  bytes.writeUInt32BE(4, 96);
  bytes.writeUInt32BE(HEADER, 100);
  bytes[104] = feature === 'zstd' ? 1 : 0;
  bytes.writeBigUInt64BE(BigInt(2 * CLUSTER), CLUSTER);
  for (let cluster = 0; cluster < CLUSTERS; cluster++) bytes.writeUInt16BE(1, 2 * CLUSTER + cluster * 2);
  return bytes;
}
