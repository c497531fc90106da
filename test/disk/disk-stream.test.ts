/** Disks made by qemu-img and qemu-io, streamed as qcow2, and held against what qemu-img says of them. */
import assert from 'node:assert/strict';
import { open, stat, writeFile } from 'node:fs/promises';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { DiskStream, type StreamOptions } from '../../src/disk/disk-stream.ts';
import { DiskInspector } from '../../src/disk/inspector.ts';
import type { DiskFile } from '../../src/disk/qemu-img.ts';
import { Workbench } from './workbench.ts';

const bench = new Workbench();
after(() => bench.remove());
const MIB = 2 ** 20;

async function stream(disk: DiskFile, name: string, options: StreamOptions, step = MIB): Promise<string> {
  const path = bench.path(name);
  const file = await open(path, 'w');
  const source = await DiskStream.open(disk, options);
  const buffer = new Uint8Array(step);
  for (let at = 0; at < source.size; at += step) {
    const part = buffer.subarray(0, Math.min(step, source.size - at));
    part.fill(0xa5);
    await source.read(part, at);
    await file.write(part, 0, part.length, at);
  }
  source.close();
  await file.close();
  return path;
}

function same(one: string, other: string, format = 'qcow2'): void {
  bench.run('qemu-img', 'check', '-q', '-f', 'qcow2', one);
  bench.run('qemu-img', 'compare', '-f', 'qcow2', '-F', format, one, other);
}

describe('a disk as a stream', () => {
  it('holds what an overlay and its base hold, alone, and passes for an image', async () => {
    const base = bench.create('base.qcow2', 'qcow2', [], '40M');
    bench.run(
      'qemu-img',
      'create',
      '-q',
      '-f',
      'qcow2',
      '-b',
      'base.qcow2',
      '-F',
      'qcow2',
      'top.qcow2',
      '600M',
    );
    bench.run(
      'qemu-io',
      '-f',
      'qcow2',
      '-c',
      'write -P 7 100k 3k',
      '-c',
      'write -z 5M 128k',
      '-c',
      'write -P 9 599M 1M',
      'top.qcow2',
    );
    const disk = { path: bench.path('top.qcow2'), format: 'qcow2' } as const;
    const path = await stream(disk, 'alone.qcow2', { virtualSize: 600 * MIB });
    same(path, disk.path);
    assert.doesNotMatch(bench.run('qemu-img', 'info', path), /backing/);
    assert.ok((await stat(path)).size < 4 * MIB, 'only what is held is in the file');
    const inspector = new DiskInspector();
    for await (const chunk of (await open(path)).createReadStream()) inspector.write(chunk as Uint8Array);
    assert.equal(inspector.end().virtualSize, 600 * MIB);
    assert.equal((await stat(base)).size, (await stat(bench.path('base.qcow2'))).size);
  });

  it('reads raw, compressed and foreign cluster sizes', async () => {
    const raw = bench.create('plain.raw', 'raw', [], '16M');
    same(await stream({ path: raw, format: 'raw' }, 'of-raw.qcow2', { virtualSize: 16 * MIB }), raw, 'raw');
    const source = bench.create('source.qcow2', 'qcow2');
    for (const [name, ...flags] of [
      ['zlib', '-c', '-O', 'qcow2'],
      ['zstd', '-c', '-O', 'qcow2', '-o', 'compression_type=zstd'],
      ['small', '-O', 'qcow2', '-o', 'cluster_size=512'],
      ['large', '-O', 'qcow2', '-o', 'cluster_size=2M'],
      ['subclusters', '-O', 'qcow2', '-o', 'extended_l2=on,cluster_size=128k'],
      ['old', '-O', 'qcow2', '-o', 'compat=0.10'],
    ] as const) {
      const path = bench.convert(source, `${name}.qcow2`, ...flags);
      same(await stream({ path, format: 'qcow2' }, `of-${name}.qcow2`, { virtualSize: 16 * MIB }), source);
    }
  });

  it('takes a disk that ends inside a cluster, and one with nothing in it', async () => {
    const odd = bench.path('odd.raw');
    await writeFile(odd, new Uint8Array(65536 * 3 + 512).fill(3));
    same(
      await stream({ path: odd, format: 'raw' }, 'of-odd.qcow2', { virtualSize: 65536 * 3 + 512 }),
      odd,
      'raw',
    );
    bench.run('qemu-img', 'create', '-q', '-f', 'qcow2', 'empty.qcow2', '1T');
    const empty = { path: bench.path('empty.qcow2'), format: 'qcow2' } as const;
    same(await stream(empty, 'of-empty.qcow2', { virtualSize: 2 ** 40 }), empty.path);
  });

  it('gives, for any writes in any layers, the whole disk or what is above a base, from any byte on', async () => {
    const size = 8 * MIB;
    const write = fc.record({
      start: fc.integer({ min: 0, max: size / 512 - 1 }),
      length: fc.integer({ min: 1, max: 400 }),
      fill: fc.integer({ min: 0, max: 250 }),
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(write, { maxLength: 4 }), { minLength: 2, maxLength: 4 }),
        fc.integer({ min: 4096, max: 3 * MIB }),
        async (layers, step) => {
          const name = (layer: number) => `run-${run}-${layer}.qcow2`;
          run++;
          for (const [layer, writes] of layers.entries()) {
            const below = layer > 0 ? ['-b', `run-${run - 1}-${layer - 1}.qcow2`, '-F', 'qcow2'] : [];
            const path = `run-${run - 1}-${layer}.qcow2`;
            bench.run('qemu-img', 'create', '-q', '-f', 'qcow2', ...below, path, String(size));
            const commands = writes.flatMap(({ start, length, fill }) => {
              const bytes = Math.min(length * 512, size - start * 512);
              return [
                '-c',
                fill === 0 ? `write -z ${start * 512} ${bytes}` : `write -P ${fill} ${start * 512} ${bytes}`,
              ];
            });
            if (commands.length > 0) bench.run('qemu-io', '-f', 'qcow2', ...commands, path);
          }
          run--;
          const top = { path: bench.path(name(layers.length - 1)), format: 'qcow2' } as const;
          same(await stream(top, `run-${run}-alone.qcow2`, { virtualSize: size }, step), top.path);
          const above = { layers: layers.length - 1, backing: { name: name(0), format: 'qcow2' } } as const;
          const over = await stream(top, `run-${run}-over.qcow2`, { virtualSize: size, above }, step);
          same(over, top.path);
          run++;
        },
      ),
      { numRuns: 12 },
    );
  });

  it('says that a disk can not be opened', async () => {
    const path = bench.path('broken.qcow2');
    await writeFile(path, 'QFI\xfbnonsense');
    await assert.rejects(DiskStream.open({ path, format: 'qcow2' }, { virtualSize: MIB }), (error: Error) =>
      /does not say|is none|qemu-img map failed|damaged/.test(error.message),
    );
  });
});
