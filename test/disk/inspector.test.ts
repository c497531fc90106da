import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { DiskInspector } from '../../src/disk/inspector.ts';
import { inspect, refusedWith, verdict, Workbench } from './workbench.ts';

describe('DiskInspector', () => {
  let bench: Workbench;
  const images = new Map<string, Buffer>();
  before(() => {
    bench = new Workbench();
    const raw = bench.create('raw', 'raw', [], '6M');
    const add = (name: string, ...flags: string[]) => {
      images.set(name, readFileSync(bench.convert(raw, name, ...flags)));
    };
    add('qcow2', '-O', 'qcow2', '-o', 'cluster_size=4k');
    add('subclusters', '-O', 'qcow2', '-o', 'extended_l2=on');
    add('compressed', '-c', '-O', 'qcow2');
    add('vhd', '-O', 'vpc', '-o', 'subformat=fixed');
    images.set('raw', readFileSync(raw));
    images.set('cut', (images.get('qcow2') ?? Buffer.alloc(0)).subarray(0, 300_000));
    images.set('html', Buffer.from(`<html><title>Sign in</title>${'<p>text</p>'.repeat(20_000)}`));
    images.set('tiny', Buffer.from('x'));
  });
  after(() => bench.remove());

  test('the verdict does not depend on how the bytes are cut into chunks', () => {
    const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 300_000 })), {
      minLength: 1,
      maxLength: 5,
    });
    for (const [name, bytes] of images) {
      for (const options of [{}, { totalSize: bytes.length }]) {
        const expected = verdict(bytes, options, [1 << 20]);
        fc.assert(
          fc.property(sizes, (cut) => {
            // A megabyte in single bytes is a test of patience only.
            const some = cut.some((size) => size > 1000) ? cut : [...cut, 20_000];
            assert.equal(verdict(bytes, options, some), expected, name);
          }),
          { numRuns: 15 },
        );
      }
    }
    assert.equal(verdict(images.get('cut') ?? Buffer.alloc(0), {}, [1]).includes('cut short'), true);
  });

  test('random bytes give a raw disk with nothing known in it, or a refusal', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.nat(300), (bytes, sectors) => {
        const image = new Uint8Array(sectors * 512 + bytes.length);
        image.set(bytes);
        image.set(bytes, sectors * 512);
        verdict(image); // throws for anything but a verdict
      }),
      { numRuns: 300 },
    );
  });

  test('bytes that begin as a known format and go on at random give a verdict', () => {
    const magics = [
      'QFI\xfb\0\0\0\x03',
      'QFI\xfb\0\0\0\x02',
      'BZh9',
      '<html><title>',
      'XFSB',
      '\x5d\0\0\x80\0',
      'hsqs',
      '<!--',
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...magics),
        fc.uint8Array({ minLength: 0, maxLength: 1200 }),
        (magic, bytes) => {
          verdict(Buffer.concat([Buffer.from(magic, 'latin1'), bytes]));
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a disk of whole zeros is raw, with nothing known in it', () => {
    assert.deepEqual(inspect(new Uint8Array(1 << 20)), {
      format: 'raw',
      virtualSize: 1 << 20,
      fileSize: 1 << 20,
      contents: 'unknown',
      recognised: false,
    });
  });

  test('files that are no disk by their size are refused', () => {
    assert.match(refusedWith(new Uint8Array(0)).details, /is empty: 0 bytes|empty/);
    assert.match(refusedWith(new Uint8Array(511)).details, /only 511 bytes/);
    assert.match(refusedWith(new Uint8Array(100_001)).details, /not a whole number of 512-byte sectors/);
    assert.equal(inspect(new Uint8Array(512)).virtualSize, 512);
  });

  test('more or fewer bytes than announced are refused', () => {
    assert.match(refusedWith(new Uint8Array(1024), { totalSize: 2048 }).details, /1024 bytes where 2048/);
    assert.match(refusedWith(new Uint8Array(2048), { totalSize: 1024 }).details, /2048 bytes where 1024/);
  });

  test('a raw disk above the limit is refused as soon as it is known', () => {
    const inspector = new DiskInspector({ maxVirtualSize: 1 << 20 });
    const chunk = new Uint8Array(1 << 19);
    inspector.write(chunk);
    inspector.write(chunk);
    assert.throws(() => inspector.write(new Uint8Array(1)), /largest allowed/);
    const announced = new DiskInspector({ maxVirtualSize: 1 << 20, totalSize: 1 << 21 });
    assert.throws(() => announced.write(chunk), /largest allowed/);
  });

  test('what was refused once stays refused', () => {
    const inspector = new DiskInspector();
    const page = Buffer.from(`<html>${' '.repeat(5000)}`);
    assert.throws(() => inspector.write(page), /web page/);
    assert.throws(() => inspector.write(new Uint8Array(10)), /web page/);
    assert.throws(() => inspector.end(), /web page/);
  });

  test('a qcow2 is one, whatever else its bytes may pass for', () => {
    const image = Buffer.from(images.get('qcow2') ?? []);
    image.write('\x01CD001\x01', 32768, 'latin1');
    image.writeUInt16LE(0xaa55, 510);
    image.write('conectix', image.length - 512);
    assert.doesNotMatch(verdict(image), /VHD|iso/);
    assert.match(verdict(image), /qcow2/);
  });
});
