import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { inspect, refusedWith, Workbench } from './workbench.ts';

describe('the maps of a qcow2', () => {
  let bench: Workbench;
  before(() => {
    bench = new Workbench();
  });
  after(() => bench.remove());

  const kinds: [string, string[]][] = [
    ['plain', ['-O', 'qcow2']],
    ['version 2', ['-O', 'qcow2', '-o', 'compat=0.10']],
    ['small clusters', ['-O', 'qcow2', '-o', 'cluster_size=4k']],
    ['subclusters', ['-O', 'qcow2', '-o', 'extended_l2=on']],
    ['compressed', ['-c', '-O', 'qcow2', '-o', 'cluster_size=4k']],
  ];
  for (const [name, flags] of kinds) {
    test(`give a file away that was cut short anywhere before its last cluster (${name})`, () => {
      const image = readFileSync(bench.convert(bench.create('source', 'raw'), 'image', ...flags));
      assert.equal(inspect(image).format, 'qcow2');
      const last = 65536;
      for (let length = 200; length < image.length - last; length += 4099) {
        const { details } = refusedWith(image.subarray(0, length));
        assert.match(details, /cut short/, `${length} of ${image.length} bytes`);
      }
    });
  }

  describe('that point nowhere', () => {
    let image: Buffer;
    let l1: number;
    let l2: number;
    before(() => {
      image = readFileSync(bench.convert(bench.create('source', 'raw'), 'image', '-O', 'qcow2'));
      l1 = Number(image.readBigUInt64BE(40));
      l2 = Number(image.readBigUInt64BE(l1) & 0x00fffffffffffe00n);
    });
    const changed = (at: number, entry: bigint) => {
      const bytes = Buffer.from(image);
      bytes.writeBigUInt64BE(entry, at);
      return bytes;
    };

    test('are refused in the L1 table', () => {
      assert.match(refusedWith(changed(l1, 2n ** 50n)).details, /an L2 table reaches/);
      assert.match(refusedWith(changed(l1, 0x40200n)).details, /where no cluster begins/);
      assert.match(refusedWith(changed(l1, 0x40001n)).details, /entry of its L1 table is not one/);
      assert.match(refusedWith(changed(l1, 2n ** 60n)).details, /entry of its L1 table is not one/);
    });

    test('are refused in the refcount table', () => {
      const table = Number(image.readBigUInt64BE(48));
      assert.match(refusedWith(changed(table, 2n ** 50n)).details, /a refcount block reaches/);
      assert.match(refusedWith(changed(table, 0x20200n)).details, /where no cluster begins/);
    });

    test('are refused in an L2 table', () => {
      assert.ok(l2 > l1);
      assert.match(refusedWith(changed(l2 + 80, 2n ** 50n)).details, /a cluster of data reaches/);
      assert.match(
        refusedWith(changed(l2 + 80, 2n ** 62n + 2n ** 40n)).details,
        /a compressed cluster reaches/,
      );
      assert.match(refusedWith(changed(l2 + 80, 0x50200n)).details, /where no cluster begins/);
    });

    test('are refused where two share one L2 table', () => {
      bench.run('qemu-img', 'create', '-q', '-f', 'qcow2', 'two', '1G');
      bench.run('qemu-io', '-c', 'write 0 64k', '-c', 'write 600M 64k', bench.path('two'));
      const two = readFileSync(bench.path('two'));
      assert.equal(inspect(two).format, 'qcow2');
      const table = Number(two.readBigUInt64BE(40));
      two.copy(two, table + 8, table, table + 8);
      assert.match(refusedWith(two).details, /two of its L2 tables are at byte/);
    });
  });

  test('are refused for a preallocated cluster behind the end too, which reads as zeros', () => {
    const path = bench.create('zeros', 'qcow2');
    const image = readFileSync(path);
    const l1 = Number(image.readBigUInt64BE(40));
    const l2 = Number(image.readBigUInt64BE(l1) & 0x00fffffffffffe00n);
    image.writeBigUInt64BE(2n ** 40n + 1n, l2 + 8 * 100);
    assert.match(refusedWith(image).details, /a cluster of data reaches/);
  });
});
