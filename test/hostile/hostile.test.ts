import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { checkDeclaredFormat } from '../../src/disk/declared.ts';
import { askQemu } from '../../src/disk/second-opinion.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { inspect } from '../disk/workbench.ts';
import { runProgram } from '../support/program.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { gptDisk, isoDisc, mbrDisk, writeBtrfs, writeExt4, writeLvm } from './disks.ts';
import { type ForgeOptions, forge } from './forge.ts';
import { hostileCases } from './hostile-cases.ts';

describe('every hostile file is refused, and the reason is said', () => {
  for (const { group, name, bytes, parameters, code = 'IMG.1002', reason, byQemu } of hostileCases) {
    it(`${group}: ${name}`, async () => {
      const image = bytes();
      if (byQemu) {
        const scratch = temporaryDirectory();
        const path = join(scratch, 'hostile.qcow2');
        writeFileSync(path, image);
        await assert.rejects(askQemu(path, { scratch }), { code, message: reason });
        return;
      }
      const known = { totalSize: image.length };
      for (const [options, sizes] of [
        [{}, [65536]],
        [{}, [4093, 77]],
        [known, [65536]],
      ] as const) {
        assert.throws(
          () => checkDeclaredFormat(parameters?.format, inspect(image, options, sizes)),
          (error) => {
            assert.ok(error instanceof IngotError, String(error));
            assert.equal(error.code, code);
            assert.match(error.details, reason);
            return true;
          },
        );
      }
    });
  }

  it('and no two have one name', () => {
    const names = hostileCases.map(({ group, name }) => `${group}: ${name}`);
    assert.deepEqual(names.length, new Set(names).size);
  });
});

describe('what the hostile files are made of is taken while it is sound', () => {
  const sound: [string, ForgeOptions][] = [
    ['version 3', {}],
    ['version 2', { version: 2 }],
    ['clusters of 4 KiB', { clusterBits: 12, virtualSize: 1 << 20 }],
    ['subclusters', { extendedL2: true }],
    ['a compressed cluster', { compressed: true }],
    ['a snapshot', { snapshot: true }],
    ['a snapshot that shares all', { snapshotShares: true }],
    ['a snapshot that shares all, compressed', { snapshotShares: true, compressed: true }],
    ['a snapshot that shares all, subclusters', { snapshotShares: true, extendedL2: true }],
    ['a bitmap', { bitmap: true }],
    ['its L1 table last', { l1Last: true }],
    ['an extension that is not known', { extensions: [[0x12345678, Buffer.from('anything')]] }],
    [
      'extensions that end with the first 64 KiB of a larger cluster',
      { clusterBits: 21, extensions: [[0x12345678, Buffer.alloc(65536 - 120)]] },
    ],
    ['all of it', { snapshot: true, bitmap: true, compressed: true, l1Last: true }],
  ];
  for (const [name, options] of sound) {
    it(`qcow2, ${name}, by us and by qemu-img check`, async () => {
      const { bytes } = forge(options);
      assert.equal(inspect(bytes).format, 'qcow2');
      const path = join(temporaryDirectory(), 'sound.qcow2');
      writeFileSync(path, bytes);
      await runProgram('qemu-img', ['check', '-q', '-f', 'qcow2', path]);
    });
  }

  const guests: [string, ForgeOptions, (bytes: Buffer) => void][] = [
    [
      'GPT and ext4',
      { clusterBits: 9, virtualSize: 1 << 14, dataFirst: true },
      (bytes) => {
        gptDisk().copy(bytes, 512, 512, 1024);
        writeExt4(bytes, 4096);
      },
    ],
    ['LVM', { clusterBits: 9, virtualSize: 1 << 14, dataFirst: true }, writeLvm],
    ['Btrfs', { dataFirst: true }, writeBtrfs],
  ];
  for (const [name, options, write] of guests) {
    it(`qcow2, whose guest's ${name} came to lie where that of a raw disk does`, () => {
      const { bytes } = forge(options);
      write(bytes);
      assert.equal(inspect(bytes).format, 'qcow2');
    });
  }

  it('disks and discs', () => {
    assert.deepEqual(inspect(mbrDisk()).format, 'raw');
    const gpt = inspect(gptDisk());
    assert.equal(gpt.format === 'raw' && gpt.contents, 'gpt');
    assert.deepEqual(inspect(isoDisc()).format, 'iso');
  });
});
