import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { inspect, refusedWith, Workbench } from './workbench.ts';

describe('an ISO', () => {
  let bench: Workbench;
  let plain: Buffer;
  before(() => {
    bench = new Workbench();
    mkdirSync(bench.path('tree'));
    writeFileSync(bench.path('tree/boot.img'), Buffer.alloc(2048, 1));
    writeFileSync(bench.path('tree/large'), Buffer.alloc(2 ** 20, 2));
    plain = make('plain.iso', '-J', '-R');
  });
  after(() => bench.remove());

  const make = (name: string, ...flags: string[]) => {
    bench.run('xorriso', '-as', 'mkisofs', '-quiet', '-V', 'INSTALL_1', ...flags, '-o', name, 'tree');
    return readFileSync(bench.path(name));
  };
  const boot = ['-b', 'boot.img', '-no-emul-boot'];

  test('made by xorriso is one, with its label', () => {
    assert.deepEqual(inspect(plain), {
      format: 'iso',
      virtualSize: plain.length,
      fileSize: plain.length,
      label: 'INSTALL_1',
      bootable: false,
      udf: false,
    });
  });

  test('that a PC can start from says so', () => {
    const facts = inspect(make('boot.iso', ...boot));
    assert.equal(facts.format === 'iso' && facts.bootable, true);
  });

  test('that starts from a disk too is an ISO all the same, with an MBR or a GPT', () => {
    const mbr = inspect(make('mbr.iso', ...boot, '-append_partition', '2', '0x83', bench.path('tree/large')));
    assert.equal(mbr.format === 'iso' && mbr.hybrid, 'mbr');
    const appended = ['-append_partition', '2', '0xef', bench.path('tree/large'), '-appended_part_as_gpt'];
    const gpt = inspect(make('gpt.iso', ...boot, ...appended));
    assert.equal(gpt.format === 'iso' && gpt.hybrid, 'gpt');
  });

  test('with UDF beside it, or UDF alone, says so', () => {
    const bridge = Buffer.from(plain);
    let sector = 16;
    while (bridge.toString('latin1', sector * 2048 + 1, sector * 2048 + 6) === 'CD001') sector++;
    const alone = Buffer.alloc(2 ** 20);
    for (const [index, id] of ['BEA01', 'NSR02', 'TEA01'].entries()) {
      bridge
        .fill(0, (sector + index) * 2048, (sector + index + 1) * 2048)
        .write(id, (sector + index) * 2048 + 1);
      alone.write(id, (16 + index) * 2048 + 1);
    }
    const facts = inspect(bridge);
    assert.deepEqual(facts.format === 'iso' && [facts.udf, facts.label], [true, 'INSTALL_1']);
    const udf = inspect(alone);
    assert.deepEqual(udf.format === 'iso' && [udf.udf, udf.label], [true, '']);
  });

  test('that was cut short is refused', () => {
    const half = plain.subarray(0, plain.length / 2);
    assert.match(refusedWith(half).details, /cut short: its volume reaches/);
    assert.match(refusedWith(half, { totalSize: half.length }).details, /cut short/);
  });

  test('without the 150 sectors that run out after a track is taken', () => {
    assert.equal(inspect(plain.subarray(0, plain.length - 150 * 2048)).format, 'iso');
  });

  test('without a primary volume descriptor is refused', () => {
    const bytes = Buffer.from(plain);
    bytes.writeUInt8(2, 16 * 2048);
    bytes.fill(0, 17 * 2048, 18 * 2048);
    assert.match(refusedWith(bytes).details, /no primary volume descriptor/);
  });
});
