import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { IngotError } from '../../src/kernel/errors.ts';
import { inspect, refusedWith, Workbench } from './workbench.ts';

const MiB = 2 ** 20;

describe('qcow2 as qemu-img makes it', () => {
  let bench: Workbench;
  before(() => {
    bench = new Workbench();
  });
  after(() => bench.remove());

  const accepted: [string, string[], object][] = [
    ['version 2', ['compat=0.10'], { version: 2 }],
    ['version 3', ['compat=1.1'], { version: 3, clusterSize: 65536, compression: 'zlib' }],
    ['the smallest clusters', ['cluster_size=512'], { clusterSize: 512 }],
    ['the largest clusters', ['cluster_size=2M'], { clusterSize: 2 * MiB }],
    ['lazy reference counts', ['lazy_refcounts=on'], { lazyRefcounts: true }],
    ['subclusters', ['extended_l2=on'], { extendedL2: true }],
    ['zstd', ['compression_type=zstd'], { compression: 'zstd' }],
    ['reference counts of 1 bit', ['refcount_bits=1'], { version: 3 }],
    ['reference counts of 64 bits', ['refcount_bits=64'], { version: 3 }],
    ['metadata made in advance', ['preallocation=metadata'], { version: 3 }],
  ];
  for (const [name, options, expected] of accepted) {
    test(`${name} is taken`, () => {
      const facts = inspect(bench.create('taken', 'qcow2', options));
      assert.deepEqual({ ...facts, ...expected, format: 'qcow2', virtualSize: 16 * MiB }, facts);
    });
  }

  test('an empty disk of 10 GiB is taken, with its L1 table as the last bytes of the file', () => {
    bench.run('qemu-img', 'create', '-q', '-f', 'qcow2', 'empty', '10G');
    assert.equal(inspect(bench.path('empty')).virtualSize, 10 * 1024 * MiB);
  });

  for (const compression of ['zlib', 'zstd']) {
    test(`clusters compressed with ${compression} are taken`, () => {
      const raw = bench.create('source', 'raw');
      const flags = ['-c', '-O', 'qcow2', '-o', `compression_type=${compression}`];
      const facts = inspect(bench.convert(raw, 'compressed', ...flags));
      assert.equal(facts.format === 'qcow2' && facts.compression, compression);
    });
  }

  test('internal snapshots and bitmaps are taken and counted, also after a resize', () => {
    const path = bench.create('state', 'qcow2');
    bench.run('qemu-img', 'snapshot', '-c', 'first', path);
    bench.run('qemu-io', '-c', 'write 1M 2M', path);
    bench.run('qemu-img', 'snapshot', '-c', 'second', path);
    bench.run('qemu-img', 'bitmap', '--add', path, 'backup');
    let facts = inspect(path);
    assert.deepEqual(facts.format === 'qcow2' && [facts.snapshots, facts.bitmaps], [2, 1]);
    bench.run('qemu-img', 'bitmap', '--remove', path, 'backup');
    bench.run('qemu-img', 'resize', '-q', path, '64G');
    facts = inspect(path);
    assert.equal(facts.virtualSize, 64 * 1024 * MiB);
  });

  test('zeroed and discarded clusters are taken', () => {
    const path = bench.create('zeroed', 'qcow2');
    bench.run('qemu-io', '-c', 'write -z 0 8M', '-c', 'discard 5M 200k', path);
    assert.equal(inspect(path).format, 'qcow2');
  });

  test('a backing file is refused by its name, made fit to print', () => {
    bench.create('base', 'qcow2');
    bench.run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'base', '-F', 'qcow2', 'overlay');
    assert.match(refusedWith(bench.path('overlay')).details, /not standalone: its backing file is "base"/);

    const nasty = '/etc/passwd"\u202e\n\u0007x';
    bench.run('qemu-img', 'create', '-q', '-u', '-f', 'qcow2', '-b', nasty, '-F', 'raw', 'nasty', '1M');
    const refused = refusedWith(bench.path('nasty'));
    assert.equal(refused.found, 'qcow2-backing-file');
    assert.match(refused.details, /is "\/etc\/passwd' x"/);
  });

  test('an external data file is refused by its name', () => {
    bench.run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'data_file=data.bin', 'external', '1M');
    assert.match(refusedWith(bench.path('external')).details, /not standalone: its data .* "data\.bin"/);
  });

  test('encryption is refused, by LUKS and by AES', () => {
    const luks = ['encrypt.format=luks', 'encrypt.key-secret=s', 'encrypt.iter-time=10'];
    bench.createEncrypted('luks', 'qcow2', ...luks);
    assert.match(refusedWith(bench.path('luks')).details, /encrypted qcow2 \(LUKS\)/);
    const aes = readFileSync(bench.create('aes', 'qcow2'));
    aes.writeUInt32BE(1, 32);
    assert.match(refusedWith(aes).details, /encrypted qcow2 \(AES\)/);
  });
});

describe('a qcow2 header', () => {
  let bench: Workbench;
  let image: Buffer;
  before(() => {
    bench = new Workbench();
    const source = bench.create('source', 'raw');
    image = readFileSync(bench.convert(source, 'image', '-O', 'qcow2'));
  });
  after(() => bench.remove());

  const changed = (change: (bytes: Buffer) => void) => {
    const bytes = Buffer.from(image);
    change(bytes);
    return bytes;
  };

  const refused: [string, (bytes: Buffer) => void, RegExp][] = [
    ['of version 4', (b) => b.writeUInt32BE(4, 4), /version is 4/],
    ['of version 1, which is another format', (b) => b.writeUInt32BE(1, 4), /qcow disk of version 1/],
    ['with clusters of 256 bytes', (b) => b.writeUInt32BE(8, 20), /clusters are 2\^8/],
    ['with clusters of 4 MiB', (b) => b.writeUInt32BE(22, 20), /clusters are 2\^22/],
    ['of a disk of 0 bytes', (b) => b.writeBigUInt64BE(0n, 24), /virtual size is 0/],
    ['of a disk that ends within a sector', (b) => b.writeBigUInt64BE(1000n, 24), /virtual size is 1000/],
    ['of a disk above the limit', (b) => b.writeBigUInt64BE(2n ** 63n, 24), /largest that is allowed/],
    [
      'with an L1 table too small for the disk',
      (b) => b.writeBigUInt64BE(2n ** 40n, 24),
      /1 entries, but .* needs 2048/,
    ],
    ['with an L1 table above the limit', (b) => b.writeUInt32BE(2 ** 23, 36), /L1 table has 8388608/],
    [
      'with an L1 table off its cluster',
      (b) => b.writeBigUInt64BE(0x30008n, 40),
      /L1 table is at byte 196616/,
    ],
    ['with an L1 table behind the end', (b) => b.writeBigUInt64BE(2n ** 40n, 40), /cut short: its L1 table/],
    ['with an L1 table at no place', (b) => b.writeBigUInt64BE(0xffffffffffff0000n, 40), /where none can be/],
    [
      'with an L1 table in the header',
      (b) => b.writeBigUInt64BE(0n, 40),
      /header and its L1 table|L1 table and its header/,
    ],
    [
      'with the refcount table behind the end',
      (b) => b.writeBigUInt64BE(2n ** 40n, 48),
      /its refcount table/,
    ],
    ['without a refcount table', (b) => b.writeUInt32BE(0, 56), /refcount table has 0 bytes/],
    ['with a huge refcount table', (b) => b.writeUInt32BE(2 ** 20, 56), /refcount table has/],
    ['with both tables at one place', (b) => b.copy(b, 48, 40, 48), /at the same place/],
    ['with too many snapshots', (b) => b.writeUInt32BE(2 ** 20, 60), /1048576 snapshots/],
    [
      'with snapshots behind the end',
      (b) => {
        b.writeUInt32BE(1, 60);
        b.writeBigUInt64BE(2n ** 40n, 64);
      },
      /its snapshot table/,
    ],
    ['marked dirty', (b) => b.writeUInt32BE(1, 76), /marked dirty/],
    ['marked corrupt', (b) => b.writeUInt32BE(3, 76), /marked as corrupt/],
    ['with an external data file', (b) => b.writeUInt32BE(4, 76), /data are in another file/],
    ['that contradicts itself about compression', (b) => b.writeUInt32BE(8, 76), /contradicts itself/],
    ['with an unknown compression', (b) => b.writeUInt8(7, 104), /compression \(type 7\)/],
    ['with an unknown feature', (b) => b.writeUInt32BE(32, 76), /features that are not known \(bits 20 /],
    ['with an unknown high feature', (b) => b.writeUInt32BE(1, 72), /features that are not known/],
    ['with reference counts of 128 bits', (b) => b.writeUInt32BE(7, 96), /2\^7 bits/],
    ['with too short a length', (b) => b.writeUInt32BE(96, 100), /header has 96 bytes/],
    ['with an odd length', (b) => b.writeUInt32BE(105, 100), /header has 105 bytes/],
    ['longer than a cluster', (b) => b.writeUInt32BE(2 ** 31, 100), /header has 2147483648 bytes/],
    ['with an extension that does not fit', (b) => b.writeUInt32BE(2 ** 31, 116), /header extension/],
    [
      'with bitmaps behind the end',
      (b) => {
        b.writeUInt32BE(1, 92); // the autoclear bit
        b.writeUInt32BE(0x23852875, 112);
        b.writeUInt32BE(24, 116);
        b.writeUInt32BE(1, 120);
        b.writeUInt32BE(0, 124);
        b.writeBigUInt64BE(64n, 128);
        b.writeBigUInt64BE(2n ** 40n, 136);
        b.fill(0, 144, 152);
      },
      /its bitmap directory/,
    ],
  ];
  for (const [name, change, sentence] of refused) {
    test(`${name} is refused`, () => assert.match(refusedWith(changed(change)).details, sentence));
  }

  test('that is all there is of the file is cut short, at any length', () => {
    for (const length of [8, 71, 72, 103, 104, 512, 4096]) {
      assert.match(refusedWith(image.subarray(0, length)).details, /cut short/, `${length} bytes`);
    }
  });

  test('is held against the size to come, at once where that is known', () => {
    const cut = image.subarray(0, 196608);
    assert.match(refusedWith(cut, { totalSize: cut.length }).details, /its L1 table reaches/);
  });

  test('asking for more than the operator allows is refused', () => {
    assert.match(refusedWith(image, { maxVirtualSize: 8 * MiB }).details, /16 MiB.*8 MiB/);
    assert.equal(inspect(image, { maxVirtualSize: 16 * MiB }).virtualSize, 16 * MiB);
  });

  test('changed at random is refused, or is one that qemu-img opens and that keeps its tables in the file', () => {
    const path = bench.path('mutant');
    const field = fc.constantFrom(
      8,
      16,
      20,
      24,
      28,
      32,
      36,
      40,
      44,
      48,
      52,
      56,
      60,
      64,
      68,
      72,
      76,
      80,
      84,
      88,
      92,
      96,
      100,
      104,
      112,
      116,
      120,
    );
    const value = fc.oneof(
      fc.nat(255),
      fc.constantFrom(0xffffffff, 2 ** 31, 65536, 131072, 196608),
      fc.integer({ min: 0, max: 0xffffffff }),
    );
    let opened = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(field, value), { minLength: 1, maxLength: 3 }), (changes) => {
        const mutant = changed((bytes) => {
          for (const [at, word] of changes) bytes.writeUInt32BE(word, at);
        });
        let virtualSize: number;
        try {
          virtualSize = inspect(mutant).virtualSize;
        } catch (error) {
          assert.ok(error instanceof IngotError && error.code === 'IMG.1002', String(error));
          return;
        }
        const l1End = Number(mutant.readBigUInt64BE(40)) + mutant.readUInt32BE(36) * 8;
        assert.ok(l1End <= mutant.length);
        assert.ok(Number(mutant.readBigUInt64BE(48)) < mutant.length);
        if (++opened > 40) return; // qemu-img takes its time
        writeFileSync(path, mutant);
        const info = execFileSync('qemu-img', ['info', '--output=json', '-f', 'qcow2', path]);
        assert.equal(JSON.parse(info.toString())['virtual-size'], virtualSize);
      }),
      { numRuns: 500 },
    );
  });
});
