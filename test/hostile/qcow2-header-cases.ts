import type { HostileCase } from './case.ts';
import { type ForgeOptions, forge, type Places, u64 } from './forge.ts';

type Change = (bytes: Buffer, at: Places) => void;

const DATA_FILE = 0x44415441;
const ENCRYPTION = 0x0537be77;
const BITMAPS = 0x23852875;
const UNKNOWN = 0x12345678;

function header(name: string, reason: RegExp, change: Change, options: ForgeOptions = {}): HostileCase {
  return {
    group: 'qcow2 header',
    name,
    reason,
    bytes: () => {
      const { bytes, at } = forge(options);
      change(bytes, at);
      return bytes;
    },
  };
}

/** A name of a backing file, where QEMU looks for it. */
function backing(name: string, version: 2 | 3 = 3): HostileCase {
  return {
    ...header(
      `backing file ${name}`,
      /not standalone: its backing file is/,
      (bytes) => {
        u64(bytes, 512, 8);
        bytes.writeUInt32BE(Buffer.byteLength(name), 16);
        bytes.write(name, 512);
      },
      { version },
    ),
    group: 'other files',
  };
}

const FEATURES = 76;

/** Of clusters of 2 MiB, with an extension where a reader of the first 64 KiB alone has stopped. */
function far(name: string, type: number, content: Buffer, change: Change = () => {}): HostileCase {
  return header(
    `${name} behind an extension of 64 KiB`,
    /its header extensions reach beyond byte 65536/,
    change,
    {
      clusterBits: 21,
      extensions: [
        [UNKNOWN, Buffer.alloc(65536 - 112)],
        [type, content],
      ],
    },
  );
}

const FAR_BITMAPS = 65536 + 8;

export const qcow2HeaderCases: readonly HostileCase[] = [
  backing('/etc/passwd'),
  backing('/etc/shadow', 2),
  backing('../../../../../etc/passwd'),
  backing('json:{"driver":"https","url":"https://169.254.169.254/latest/meta-data/"}'),
  backing('nbd://169.254.169.254:10809/secret'),
  backing('/dev/sda'),
  {
    ...header('backing file without a name', /named outside of its header/, (b) => u64(b, 512, 8)),
    group: 'other files',
  },
  {
    ...header('backing file named behind the end', /named outside of its header/, (b) => {
      u64(b, 2n ** 40n, 8);
      b.writeUInt32BE(11, 16);
    }),
    group: 'other files',
  },
  {
    ...header('backing file with a name of 2 GiB', /not standalone/, (b) => {
      u64(b, 512, 8);
      b.writeUInt32BE(2 ** 31, 16);
    }),
    group: 'other files',
  },
  {
    ...header('external data file', /data are in another file/, (b) => b.writeUInt32BE(4, FEATURES)),
    group: 'other files',
  },
  {
    ...header(
      'external data file /etc/passwd',
      /data are in another file, "\/etc\/passwd"/,
      (b) => b.writeUInt32BE(4, FEATURES),
      {
        extensions: [[DATA_FILE, Buffer.from('/etc/passwd')]],
      },
    ),
    group: 'other files',
  },
  {
    ...header('name of a data file without its feature', /data are in another file/, () => {}, {
      extensions: [[DATA_FILE, Buffer.from('/etc/passwd')]],
    }),
    group: 'other files',
  },
  {
    ...header('raw external data file that is not there', /but has none/, (b) => b.writeUInt32BE(2, 92)),
    group: 'other files',
  },

  header('encrypted with AES', /encrypted qcow2 \(AES\)/, (b) => b.writeUInt32BE(1, 32)),
  header('encrypted with LUKS', /encrypted qcow2 \(LUKS\)/, (b) => b.writeUInt32BE(2, 32)),
  header('encrypted with a method that is not known', /encrypted qcow2/, (b) => b.writeUInt32BE(77, 32)),
  header('encryption header without a method', /encrypted qcow2/, () => {}, {
    extensions: [[ENCRYPTION, Buffer.alloc(16)]],
  }),

  header('version 0', /version is 0/, (b) => b.writeUInt32BE(0, 4)),
  header('version 4', /version is 4/, (b) => b.writeUInt32BE(4, 4)),
  header('version 2^31', /version is 2147483648/, (b) => b.writeUInt32BE(2 ** 31, 4)),
  header('incompatible feature 5', /features that are not known \(bits 20/, (b) =>
    b.writeUInt32BE(0x20, FEATURES),
  ),
  header('incompatible feature 63', /features that are not known/, (b) =>
    b.writeUInt32BE(2 ** 31, FEATURES - 4),
  ),
  header('all incompatible features', /features that are not known/, (b) => u64(b, -1n, FEATURES - 4)),
  header('marked as corrupt', /marked as corrupt/, (b) => b.writeUInt32BE(2, FEATURES)),
  header('marked as dirty', /not closed cleanly/, (b) => b.writeUInt32BE(1, FEATURES)),
  header('compression type 2', /compression .*is not known/, (b) => {
    b.writeUInt32BE(112, 100);
    b.writeUInt8(2, 104);
  }),
  header('zstd without its feature', /contradicts itself/, (b) => {
    b.writeUInt32BE(112, 100);
    b.writeUInt8(1, 104);
  }),
  header('feature of a compression without its type', /contradicts itself/, (b) =>
    b.writeUInt32BE(8, FEATURES),
  ),
  header('subclusters in small clusters', /has subclusters, but/, (b) => b.writeUInt32BE(16, FEATURES), {
    clusterBits: 12,
  }),
  header('reference counts of 128 bits', /reference counts have/, (b) => b.writeUInt32BE(7, 96)),
  header('reference counts of 2^(2^32) bits', /reference counts have/, (b) =>
    b.writeUInt32BE(0xffffffff, 96),
  ),
  header('header of 0 bytes', /header has 0 bytes/, (b) => b.writeUInt32BE(0, 100)),
  header('header of 105 bytes', /header has 105 bytes/, (b) => b.writeUInt32BE(105, 100)),
  header('header longer than its cluster', /header has 65544 bytes/, (b) => b.writeUInt32BE(65544, 100)),
  header('header of 4 GiB', /header has/, (b) => b.writeUInt32BE(0xfffffff8, 100)),
  header('clusters of 1 byte', /clusters are 2\^0/, (b) => b.writeUInt32BE(0, 20)),
  header('clusters of 256 bytes', /clusters are 2\^8/, (b) => b.writeUInt32BE(8, 20)),
  header('clusters of 4 MiB', /clusters are 2\^22/, (b) => b.writeUInt32BE(22, 20)),
  header('clusters of 2^63 bytes', /clusters are 2\^63/, (b) => b.writeUInt32BE(63, 20)),

  header('disk of 0 bytes', /virtual size is 0/, (b) => u64(b, 0, 24)),
  header('disk of 1000 bytes', /virtual size is 1000/, (b) => u64(b, 1000, 24)),
  header('disk of 64 TiB and a sector', /the largest that is allowed/, (b) => u64(b, 2 ** 46 + 512, 24)),
  header('disk of 8 EiB', /the largest that is allowed/, (b) => u64(b, 2n ** 63n, 24)),
  header('disk of 16 EiB less a sector', /the largest that is allowed/, (b) => u64(b, -512n, 24)),
  header('disk that its L1 table is too small for', /but a disk of .* needs 2048/, (b) =>
    u64(b, 2 ** 40, 24),
  ),
  header('L1 table without entries', /L1 table has 0 entries/, (b) => b.writeUInt32BE(0, 36)),
  header('L1 table of 2^32 entries', /L1 table has 4294967295/, (b) => b.writeUInt32BE(0xffffffff, 36)),
  header('L1 table larger than the file', /L1 table reaches/, (b) => b.writeUInt32BE(2 ** 22, 36), {
    l1Last: true,
  }),
  header('L1 table off its cluster', /L1 table is at byte/, (b, at) => u64(b, at.l1 + 8, 40)),
  header('L1 table behind the end', /L1 table reaches/, (b) => u64(b, 2 ** 40, 40)),
  header('L1 table at no place', /where none can be/, (b) => u64(b, -65536n, 40)),
  header('L1 table in the header', /at the same place/, (b) => u64(b, 0, 40)),
  header('refcount table without clusters', /refcount table has 0 bytes/, (b) => b.writeUInt32BE(0, 56)),
  header('refcount table of 2^32 clusters', /refcount table has/, (b) => b.writeUInt32BE(0xffffffff, 56)),
  header('refcount table behind the end', /refcount table reaches/, (b) => u64(b, 2 ** 40, 48)),
  header('refcount table off its cluster', /refcount table is at byte/, (b, at) =>
    u64(b, at.refcountTable + 512, 48),
  ),
  header('refcount table in the header', /at the same place/, (b) => u64(b, 0, 48)),
  header('refcount table and L1 table at one place', /at the same place/, (b, at) => u64(b, at.l1, 48)),

  header(
    'extension of 4 GiB',
    /extension 12345678 has 4294967295 bytes/,
    (b) => b.writeUInt32BE(0xffffffff, 108),
    {
      extensions: [[UNKNOWN, Buffer.alloc(8)]],
    },
  ),
  header(
    'extension over the end of its cluster',
    /extension 12345678 has/,
    (b) => b.writeUInt32BE(65536 - 104, 108),
    {
      extensions: [[UNKNOWN, Buffer.alloc(8)]],
    },
  ),
  header('second extension out of bounds', /extension 12345678 has/, (b) => b.writeUInt32BE(2 ** 24, 124), {
    extensions: [
      [UNKNOWN, Buffer.alloc(8)],
      [UNKNOWN, Buffer.alloc(8)],
    ],
  }),
  header(
    'bitmap extension that is too short',
    /bitmaps extension has 16 bytes/,
    (b) => b.writeUInt32BE(16, 108),
    {
      bitmap: true,
    },
  ),
  header(
    'bitmap extension that is too long, without its feature',
    /bitmaps extension has 32 bytes/,
    () => {},
    {
      extensions: [[BITMAPS, Buffer.alloc(32)]],
    },
  ),
  header('end of the extensions with a length', /extension 0 has 2147483648 bytes/, (b) =>
    b.writeUInt32BE(2 ** 31, 108),
  ),
  far('name of a data file', DATA_FILE, Buffer.from('/etc/passwd')),
  far('encryption header', ENCRYPTION, Buffer.alloc(16)),
  far('bitmap directory', BITMAPS, Buffer.alloc(24), (b) => {
    b.writeUInt32BE(1, 92);
    b.writeUInt32BE(1, FAR_BITMAPS);
    u64(b, 32, FAR_BITMAPS + 8);
    u64(b, 2n ** 40n, FAR_BITMAPS + 16);
  }),
  header('extensions that nothing ends', /reach beyond byte 65536: no mark ends them/, () => {}, {
    extensions: [[UNKNOWN, Buffer.alloc(65536 - 112)]],
  }),
  header('extension of 1 MiB', /extension 12345678 has 1048576 bytes, and reaches beyond/, () => {}, {
    clusterBits: 21,
    extensions: [[UNKNOWN, Buffer.alloc(1 << 20)]],
  }),
  header('bitmap extension without bitmaps', /has 0 bitmaps/, (b) => b.writeUInt32BE(0, 112), {
    bitmap: true,
  }),
  header('2^32 bitmaps', /has 4294967295 bitmaps/, (b) => b.writeUInt32BE(0xffffffff, 112), { bitmap: true }),
  header('bitmap directory behind the end', /bitmap directory reaches/, (b) => u64(b, 2 ** 40, 128), {
    bitmap: true,
  }),
  header(
    'bitmap directory off its cluster',
    /bitmap directory is at byte/,
    (b, at) => u64(b, at.bitmapDirectory + 8, 128),
    { bitmap: true },
  ),
  header('bitmap directory of 1 EiB', /bitmaps in a directory of/, (b) => u64(b, 2n ** 60n, 120), {
    bitmap: true,
  }),
  header('bitmap directory over the L1 table', /at the same place/, (b, at) => u64(b, at.l1, 128), {
    bitmap: true,
  }),
  header('bitmap extension in a truncated header', /bitmaps in a directory/, (b) => u64(b, 0, 120), {
    extensions: [[BITMAPS, Buffer.alloc(24, 1)]],
    bitmap: true,
  }),

  header('2^32 snapshots', /has 4294967295 snapshots/, (b) => b.writeUInt32BE(0xffffffff, 60), {
    snapshot: true,
  }),
  header('snapshot table behind the end', /snapshot table reaches/, (b) => u64(b, 2 ** 40, 64), {
    snapshot: true,
  }),
  header(
    'snapshot table off its cluster',
    /snapshot table is at byte/,
    (b, at) => u64(b, at.snapshotTable + 8, 64),
    { snapshot: true },
  ),
  header('snapshot table in the header', /at the same place/, (b) => u64(b, 0, 64), { snapshot: true }),
  header('snapshot table over the L1 table', /at the same place/, (b, at) => u64(b, at.l1, 64), {
    snapshot: true,
  }),
  header('snapshot table at no place, without snapshots', /where none can be/, (b) => u64(b, -8n, 64)),
];
