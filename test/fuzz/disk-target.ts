/** The disk inspectors: sound and hostile images, changed at places where it hurts, in chunks of any size. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DiskInspector, type InspectorOptions } from '../../src/disk/inspector.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { gptDisk, isoDisc, mbrDisk, writeExt4 } from '../hostile/disks.ts';
import { type Forged, type ForgeOptions, forge } from '../hostile/forge.ts';
import { hostileCases } from '../hostile/hostile-cases.ts';
import { target } from './target.ts';

type Base =
  | { kind: 'qcow2'; options: Omit<ForgeOptions, 'extensions'> }
  | { kind: 'disk'; which: number }
  | { kind: 'hostile'; which: number };

interface Change {
  /** Index of a part of the image: its header, L1 table, … */
  part: number;
  /** Bytes from the start of the part. */
  offset: number;
  /** Big-endian, in hex; or the place of a part, moved. */
  value: string | { placeOf: number; by: number };
}

interface Input {
  base: Base;
  changes: Change[];
  /** Cut to this share of its length, 0 to 1; or 512 bytes more with 2. */
  length: number;
  chunks: number[];
}

const DISKS = [mbrDisk, gptDisk, isoDisc, () => writeExt4(Buffer.alloc(1 << 20), 1024)] as const;

/** Places of the fields of a qcow2 header, of extensions, boot sectors and volume descriptors. */
const FIELDS = [
  ...[
    0, 4, 8, 16, 20, 24, 32, 36, 40, 48, 56, 60, 64, 72, 76, 80, 84, 88, 92, 96, 100, 104, 108, 112, 120, 128,
    136,
  ],
  ...[446, 450, 454, 510, 512, 524, 1024, 1080, 32768, 32769, 34816],
];

const bases: fc.Arbitrary<Base> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('qcow2' as const),
      options: fc.record({
        version: fc.constantFrom(2 as const, 3 as const),
        clusterBits: fc.constantFrom(9, 12, 14, 16),
        virtualSize: fc.constant(1 << 20),
        snapshot: fc.boolean(),
        snapshotShares: fc.boolean(),
        bitmap: fc.boolean(),
        compressed: fc.boolean(),
        l1Last: fc.boolean(),
      }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('disk' as const), which: fc.nat(DISKS.length - 1) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('hostile' as const), which: fc.nat(hostileCases.length - 1) }),
  },
);

const NUMBERS = [
  '00',
  '01',
  '7f',
  'ff',
  '0000',
  'ffff',
  '00000000',
  '00000001',
  '7fffffff',
  '80000000',
  'ffffffff',
];
const LONG_NUMBERS = [
  0n,
  1n,
  512n,
  65536n,
  2n ** 31n,
  2n ** 32n,
  2n ** 40n,
  2n ** 53n,
  2n ** 62n,
  2n ** 63n,
  2n ** 64n - 1n,
];

const changes: fc.Arbitrary<Change> = fc.record({
  part: fc.nat(11),
  offset: fc.oneof(fc.constantFrom(...FIELDS), fc.nat(200), fc.nat(70_000)),
  value: fc.oneof(
    fc.constantFrom(...NUMBERS, ...LONG_NUMBERS.map((number) => number.toString(16).padStart(16, '0'))),
    fc.uint8Array({ minLength: 1, maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('hex')),
    fc.record({ placeOf: fc.nat(11), by: fc.constantFrom(0, 1, 8, 512, 4096, 65536, -512, -65536) }),
  ),
});

const inputs: fc.Arbitrary<Input> = fc.record({
  base: bases,
  changes: fc.array(changes, { maxLength: 6 }),
  length: fc.oneof(
    { weight: 4, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.constant(2) },
    { weight: 1, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) },
  ),
  chunks: fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 200_000 })), {
    minLength: 1,
    maxLength: 4,
  }),
});

export const diskTarget = target<Input>({ name: 'disk', inputs, run });

function run({ base, changes, length, chunks }: Input): void {
  const image = cut(changed(build(base), changes), length);
  for (const options of [{}, { totalSize: image.length }]) {
    const whole = verdict(image, options, [Math.max(1, image.length)]);
    // A megabyte in single bytes is a test of patience only.
    const sizes = chunks.some((size) => size > 1000) ? chunks : [...chunks, 20_000];
    assert.equal(verdict(image, options, sizes), whole, 'the verdict depends on the chunks');
  }
  let told = 0;
  const onMetadata = (bytes: Uint8Array, position: number) => {
    assert.ok(position + bytes.length <= image.length, 'tells of metadata behind the end');
    told += bytes.length;
  };
  const watched = verdict(image, { onMetadata }, [65536]);
  assert.equal(watched, verdict(image, {}, [65536]), 'the verdict depends on who listens');
  assert.ok(told <= image.length, 'tells of more metadata than the image has bytes');
  const known = verdict(image, { totalSize: image.length }, [65536]);
  const isTaken = (text: string) => text.startsWith('{');
  assert.equal(
    isTaken(verdict(image, {}, [65536])),
    isTaken(known),
    'the verdict depends on a size that was told',
  );
}

function build(base: Base): { bytes: Buffer; places: number[] } {
  if (base.kind === 'disk')
    return { bytes: (DISKS[base.which % DISKS.length] as () => Buffer)(), places: [0] };
  if (base.kind === 'hostile') {
    const { bytes } = hostileCases[base.which % hostileCases.length] as (typeof hostileCases)[number];
    return { bytes: Buffer.from(bytes()), places: [0] };
  }
  const { bytes, at }: Forged = forge(base.options);
  return { bytes, places: [0, ...Object.values(at)] };
}

function changed({ bytes, places }: { bytes: Buffer; places: number[] }, changes: Change[]): Buffer {
  const placeOf = (part: number) => places[part % places.length] ?? 0;
  for (const { part, offset, value } of changes) {
    const at = placeOf(part) + offset;
    const written = Buffer.alloc(8);
    if (typeof value !== 'string')
      written.writeBigUInt64BE(BigInt.asUintN(64, BigInt(placeOf(value.placeOf) + value.by)));
    const content = typeof value === 'string' ? Buffer.from(value, 'hex') : written;
    if (at < bytes.length) content.copy(bytes, at);
  }
  return bytes;
}

function cut(bytes: Buffer, length: number): Buffer {
  if (length > 1) return Buffer.concat([bytes, Buffer.alloc(512)]);
  return bytes.subarray(0, Math.floor(bytes.length * length));
}

/** What is found, as JSON; or the sentence of the refusal. Anything else that is thrown is a fault. */
function verdict(image: Buffer, options: InspectorOptions, sizes: readonly number[]): string {
  const inspector = new DiskInspector(options);
  try {
    for (let at = 0, turn = 0; at < image.length; turn++) {
      const size = sizes[turn % sizes.length] ?? 1;
      inspector.write(image.subarray(at, at + size));
      at += size;
    }
    const facts = inspector.end();
    let again = 0;
    for (let part = inspector.unread(); part; part = inspector.unread()) {
      assert.ok(part.start < part.end && part.end <= image.length, `asks for ${part.start} to ${part.end}`);
      inspector.readAgain(image.subarray(part.start, part.end));
      again += part.end - part.start;
      assert.ok(again <= image.length, 'asks for more bytes again than there are');
    }
    return JSON.stringify(facts);
  } catch (error) {
    if (error instanceof IngotError && error.code === 'IMG.1002') return error.details;
    throw error;
  }
}
