/** Images that the field's own tools make, all of which must be taken. */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import type { Workbench } from '../disk/workbench.ts';
import { debianImages, guestImages } from '../support/bootable-images.ts';

export interface GoodImage {
  name: string;
  path: string;
  format: 'qcow2' | 'raw' | 'iso';
}

const MIB = 1 << 20;

export async function makeGoodImages(bench: Workbench): Promise<GoodImage[]> {
  const guest = await guestImages();
  const debian = await debianImages();
  return [
    ...qcow2Options(bench),
    ...qcow2Histories(bench),
    ...rawDisks(bench),
    ...fileSystems(bench),
    ...discs(bench),
    { name: 'guest that boots, qcow2', path: guest.qcow2, format: 'qcow2' },
    { name: 'guest that boots, raw', path: guest.raw, format: 'raw' },
    { name: 'guest that boots, hybrid ISO', path: guest.iso, format: 'iso' },
    { name: 'grub-rescue-cdrom.iso (grub-rescue-pc)', path: debian.grubIso, format: 'iso' },
    { name: 'memtest86+x64.iso (memtest86+)', path: debian.memtestIso, format: 'iso' },
    { name: 'ipxe.iso (ipxe)', path: debian.ipxeIso, format: 'iso' },
  ];
}

/** What `qemu-img create` and `qemu-img convert` can be told. */
function qcow2Options(bench: Workbench): GoodImage[] {
  const created: [name: string, options: string[]][] = [
    ['version 2', ['compat=0.10']],
    ['version 3', ['compat=1.1']],
    ...['512', '4k', '16k', '2M'].map((each): [string, string[]] => [
      `clusters of ${each}`,
      [`cluster_size=${each}`],
    ]),
    ...[1, 2, 4, 8, 32, 64].map((each): [string, string[]] => [
      `reference counts of ${each} bits`,
      [`refcount_bits=${each}`],
    ]),
    ['lazy reference counts', ['lazy_refcounts=on']],
    ['subclusters', ['extended_l2=on']],
    ['subclusters in clusters of 2 MiB', ['extended_l2=on', 'cluster_size=2M']],
    ['preallocation=metadata', ['preallocation=metadata']],
    ['preallocation=metadata with subclusters', ['preallocation=metadata', 'extended_l2=on']],
    ['preallocation=falloc', ['preallocation=falloc']],
    ['preallocation=full', ['preallocation=full']],
    ['for zstd', ['compression_type=zstd']],
  ];
  const raw = bench.create('source.raw', 'raw');
  const converted: [name: string, flags: string[]][] = [
    ['compressed with zlib', ['-c']],
    ['compressed with zlib, version 2', ['-c', '-o', 'compat=0.10']],
    ['compressed with zlib, clusters of 4 KiB', ['-c', '-o', 'cluster_size=4k']],
    ['compressed with zstd', ['-c', '-o', 'compression_type=zstd']],
    ['compressed with zstd, subclusters', ['-c', '-o', 'compression_type=zstd,extended_l2=on']],
    ['without holes', ['-S', '0']],
  ];
  return [
    ...created.map(([name, options], index) => ({
      name: `qcow2, ${name}`,
      path: bench.create(`created-${index}.qcow2`, 'qcow2', options),
      format: 'qcow2' as const,
    })),
    ...converted.map(([name, flags], index) => ({
      name: `qcow2, ${name}`,
      path: bench.convert(raw, `converted-${index}.qcow2`, '-f', 'raw', '-O', 'qcow2', ...flags),
      format: 'qcow2' as const,
    })),
  ];
}

/** What becomes of a qcow2 in use. */
function qcow2Histories(bench: Workbench): GoodImage[] {
  let count = 0;
  const good = (
    name: string,
    options: string[],
    size: string,
    ...steps: ((path: string) => void)[]
  ): GoodImage => {
    const path = bench.create(`history-${count++}.qcow2`, 'qcow2', options, size);
    for (const step of steps) step(path);
    return { name: `qcow2, ${name}`, path, format: 'qcow2' };
  };
  const io =
    (...commands: string[]) =>
    (path: string) => {
      bench.run('qemu-io', '-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), path);
    };
  const snapshot = (flag: '-c' | '-a' | '-d', name: string) => (path: string) => {
    bench.run('qemu-img', 'snapshot', flag, name, path);
  };
  const resize =
    (size: string, ...flags: string[]) =>
    (path: string) => {
      bench.run('qemu-img', 'resize', '-q', '-f', 'qcow2', ...flags, path, size);
    };
  const bitmap =
    (...args: string[]) =>
    (path: string) => {
      bench.run('qemu-img', 'bitmap', '-f', 'qcow2', ...args.slice(0, -1), path, args.at(-1) ?? '');
    };
  return [
    good('empty, 10 GiB', [], '10G'),
    good('64 TiB in clusters of 2 MiB', ['cluster_size=2M'], '64T'),
    good('one snapshot', [], '16M', snapshot('-c', 'one')),
    good(
      'snapshots and writes in turn',
      [],
      '16M',
      snapshot('-c', 'one'),
      io('write 1M 4M'),
      snapshot('-c', 'two'),
      io('write 2M 4M', 'write 9M 1M'),
    ),
    good(
      'gone back to a snapshot',
      [],
      '16M',
      snapshot('-c', 'one'),
      io('write 1M 4M'),
      snapshot('-a', 'one'),
      io('write 3M 1M'),
    ),
    good(
      'a snapshot deleted',
      [],
      '16M',
      snapshot('-c', 'one'),
      io('write 0 8M'),
      snapshot('-c', 'two'),
      snapshot('-d', 'one'),
    ),
    good(
      'snapshots with subclusters',
      ['extended_l2=on'],
      '16M',
      snapshot('-c', 'one'),
      io('write 4k 4k', 'write 5M 9M'),
    ),
    good(
      'a snapshot of compressed clusters',
      [],
      '16M',
      io('write -c 1M 64k', 'write -c 2M 64k'),
      snapshot('-c', 'one'),
      io('write 1M 64k'),
    ),
    good('snapshots with version 2', ['compat=0.10'], '16M', snapshot('-c', 'one'), io('write 1M 4M')),
    good('the state of a running machine', [], '16M', (path) => saveMachine(bench, path)),
    good('a bitmap', [], '16M', bitmap('--add', 'one')),
    good(
      'bitmaps, of which one is disabled',
      [],
      '16M',
      bitmap('--add', 'one'),
      bitmap('--add', '--disable', '-g', '512', 'two'),
      io('write 3M 5M'),
    ),
    good('grown, its L1 table moved', [], '16M', resize('64G'), io('write 60G 1M')),
    good(
      'grown a second time',
      [],
      '16M',
      resize('8T'),
      io('write 1T 64k'),
      resize('32T'),
      io('write 20T 64k'),
    ),
    good(
      'grown with snapshots in it',
      [],
      '16M',
      snapshot('-c', 'one'),
      resize('2T'),
      io('write 1T 64k'),
      snapshot('-c', 'two'),
    ),
    good('shrunk', [], '64M', io('write 20M 1M'), resize('16M', '--shrink')),
    good(
      'zeroed and discarded in parts',
      [],
      '16M',
      io('write -z 0 8M', 'discard 5M 200k', 'write -z -u 1M 1M'),
    ),
    good('amended from version 2 to 3', ['compat=0.10'], '16M', (path) => {
      bench.run('qemu-img', 'amend', '-f', 'qcow2', '-o', 'compat=1.1,lazy_refcounts=on', path);
    }),
    good('with a cluster that belongs to nothing', [], '16M', leak),
    good('made to stand alone by rebase', [], '16M', (path) => {
      bench.run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', path, '-F', 'qcow2', `${path}.top`);
      bench.run('qemu-img', 'rebase', '-f', 'qcow2', '-b', '', `${path}.top`);
      bench.run('mv', `${path}.top`, path);
    }),
  ];
}

/** As a machine that dies between two writes leaves it: no harm, says qemu-img check (code 3). */
function leak(path: string): void {
  const bytes = Buffer.concat([readFileSync(path), Buffer.alloc(65536)]);
  const block = Number(bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(48))));
  bytes.writeUInt16BE(1, block + (Math.ceil(bytes.length / 65536) - 1) * 2);
  writeFileSync(path, bytes);
}

/** An internal snapshot with the memory of a machine, which QEMU alone can make. */
function saveMachine(bench: Workbench, path: string): void {
  const machine = '-accel tcg -M pc -m 8 -S -display none -serial none -nic none -monitor stdio';
  const script = `printf 'savevm state\\nquit\\n' | qemu-system-x86_64 ${machine} -drive format=qcow2,file="$1"`;
  bench.run('sh', '-c', script, 'sh', path);
}

function blank(bench: Workbench, name: string, size: number): string {
  writeFileSync(bench.path(name), '');
  truncateSync(bench.path(name), size);
  return bench.path(name);
}

function rawDisks(bench: Workbench): GoodImage[] {
  const tables: [name: string, label: string, script: string][] = [
    ['an MBR', 'dos', 'start=2048,type=83,bootable'],
    [
      'an MBR with logical partitions',
      'dos',
      '1:size=4M,type=83\n2:size=20M,type=5\n5:size=4M,type=82\n6:size=4M,type=7',
    ],
    ['a GPT', 'gpt', 'size=8M,type=uefi\ntype=linux'],
    ['an MBR of one byte less than a cylinder', 'dos', 'start=63,type=c'],
  ];
  return [
    ...tables.map(([name, label, script], index): GoodImage => {
      const path = blank(bench, `table-${index}.raw`, 32 * MIB);
      bench.run('sh', '-c', 'printf "%b\\n" "$1" | sfdisk -q -X "$2" "$3"', 'sh', script, label, path);
      return { name: `raw, ${name}`, path, format: 'raw' };
    }),
    { name: 'raw, GRUB on the whole disk', path: grubDisk(bench), format: 'raw' },
  ];
}

/** A disk with boot code, as installers leave it. */
function grubDisk(bench: Workbench): string {
  const path = blank(bench, 'booted.raw', 8 * MIB);
  bench.run('sh', '-c', 'printf "start=2048,type=83,bootable\\n" | sfdisk -q -X dos "$1"', 'sh', path);
  bench.run(
    'dd',
    'if=/usr/lib/syslinux/mbr/mbr.bin',
    `of=${path}`,
    'bs=440',
    'count=1',
    'conv=notrunc',
    'status=none',
  );
  return path;
}

function fileSystems(bench: Workbench): GoodImage[] {
  const made: [name: string, size: number, tool: string, flags: string[]][] = [
    ['ext2', MIB, 'mkfs.ext2', ['-q', '-F']],
    ['ext3', 4 * MIB, 'mkfs.ext3', ['-q', '-F']],
    ['ext4', 4 * MIB, 'mkfs.ext4', ['-q', '-F']],
    ['FAT12', 1440 * 1024, 'mkfs.fat', ['-F', '12']],
    ['FAT16', 16 * MIB, 'mkfs.fat', ['-F', '16']],
    ['FAT32', 40 * MIB, 'mkfs.fat', ['-F', '32']],
    ['exFAT', 8 * MIB, 'mkfs.exfat', []],
    ['NTFS', 8 * MIB, 'mkntfs', ['-q', '-F']],
    ['XFS', 320 * MIB, 'mkfs.xfs', ['-q']],
    ['Btrfs', 128 * MIB, 'mkfs.btrfs', ['-q']],
    ['swap', MIB, 'mkswap', ['-q']],
  ];
  bench.run('mkdir', '-p', 'tree');
  bench.run('dd', 'if=/dev/urandom', 'of=tree/data', 'bs=64k', 'count=3', 'status=none');
  // A multiple of 4096 bytes, as mksquashfs pads it.
  bench.run('mksquashfs', 'tree', 'tree.squashfs', '-quiet', '-no-progress');
  // In the smallest clusters, of which some lie where a raw disk has its superblock.
  const small = (name: string, ...flags: string[]): GoodImage => ({
    name: `qcow2, clusters of 512 bytes with ${name}${flags.includes('-c') ? ', compressed' : ''}`,
    path: bench.convert(
      `${name}.raw`,
      `${name}${flags.join('')}.qcow2`,
      ...[...flags, '-f', 'raw', '-O', 'qcow2', '-o', 'cluster_size=512'],
    ),
    format: 'qcow2',
  });
  return [
    ...made.map(([name, size, tool, flags]): GoodImage => {
      const path = blank(bench, `${name}.raw`, size);
      bench.run(tool, ...flags, path);
      return { name: `raw, ${name} on the whole disk`, path, format: 'raw' };
    }),
    ...made.flatMap(([name]) => [small(name), small(name, '-c')]),
    { name: 'raw, SquashFS', path: bench.path('tree.squashfs'), format: 'raw' },
    { name: 'raw, swap of a big-endian machine', path: bigEndianSwap(bench), format: 'raw' },
  ];
}

function bigEndianSwap(bench: Workbench): string {
  const path = blank(bench, 'big-endian-swap.raw', MIB);
  bench.run('mkswap', '-q', path);
  const bytes = readFileSync(path);
  // The version, the last page, how many are bad.
  bytes.subarray(1024, 1024 + 12).swap32();
  writeFileSync(path, bytes);
  return path;
}

function discs(bench: Workbench): GoodImage[] {
  const boot = ['-b', 'boot.img', '-c', 'boot.cat', '-no-emul-boot'];
  const uefi = ['-eltorito-alt-boot', '-e', 'efi.img', '-no-emul-boot'];
  const hybrid = (code: string) => ['-isohybrid-mbr', `/usr/lib/ISOLINUX/${code}.bin`];
  bench.run('dd', 'if=/usr/lib/ISOLINUX/isolinux.bin', 'of=tree/boot.img', 'status=none');
  bench.run('cp', 'FAT12.raw', 'tree/efi.img');
  const made: [name: string, flags: string[]][] = [
    ['plain', []],
    ['isohybrid', [...hybrid('isohdpfx'), ...boot]],
    ['isohybrid with a GPT for UEFI', [...hybrid('isohdpfx'), ...boot, ...uefi, '-isohybrid-gpt-basdat']],
    [
      'isohybrid with a GPT and an Apple partition map',
      [...hybrid('isohdppx'), ...boot, ...uefi, '-isohybrid-gpt-hfsplus', '-isohybrid-apm-hfsplus'],
    ],
    ['HFS+ beside it', ['-hfsplus']],
    ['its partition in a second place', ['-partition_offset', '16', ...hybrid('isohdpfx'), ...boot]],
    ['Rock Ridge and Joliet', ['-R', '-J']],
    ['hybrid with an MBR', ['-append_partition', '2', '0xef', bench.path('FAT12.raw')]],
    [
      'hybrid with a GPT',
      ['-appended_part_as_gpt', '-append_partition', '2', '0xef', bench.path('FAT12.raw')],
    ],
  ];
  return made.map(([name, flags], index) => {
    const path = bench.path(`disc-${index}.iso`);
    bench.run('xorriso', '-as', 'mkisofs', '-quiet', '-V', 'DISC', ...flags, '-o', path, 'tree');
    return { name: `ISO, ${name}`, path, format: 'iso' as const };
  });
}
