import assert from 'node:assert/strict';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { checkNeeds } from '../../src/disk/check-needs.ts';
import { askQemu } from '../../src/disk/second-opinion.ts';
import { type ForgeOptions, forge } from '../hostile/forge.ts';
import { runProgram } from '../support/program.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const GIB = 2 ** 30;
const scratch = temporaryDirectory();
const path = join(scratch, 'image');

describe('what qemu-img check needs', () => {
  /** The image with so many bytes of nothing behind it. */
  const needsOf = async (options: ForgeOptions, size: number) => {
    writeFileSync(path, forge(options).bytes);
    truncateSync(path, size);
    return checkNeeds(path);
  };

  it('is little for a small image', async () => {
    const { limits, newer } = await needsOf({}, GIB);
    assert.deepEqual([limits, newer], [{ cpu: 121, memory: 2 * GIB + 2 * 16384 }, []]);
  });

  it('grows with the clusters of the file', async () => {
    const { limits } = await needsOf({ clusterBits: 12, virtualSize: 1 << 20 }, 1024 * GIB);
    assert.deepEqual(limits, { cpu: 174, memory: 2 * GIB + GIB / 2 });
    const old = await needsOf({ version: 2 }, 1024 * GIB);
    assert.deepEqual(old.limits, { cpu: 124, memory: 2 * GIB + 2 ** 25 });
    const withSnapshot = await needsOf({ snapshot: true }, 1024 * GIB);
    assert.deepEqual(withSnapshot.limits, { cpu: 127, memory: 2 * GIB + 2 ** 25 });
  });

  it('names the features that are newer than some QEMU', async () => {
    assert.deepEqual((await needsOf({ extendedL2: true }, GIB)).newer, ['extendedL2']);
  });

  it('is what it really takes for the counts', async () => {
    const options = 'cluster_size=512,refcount_bits=64';
    await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', options, path, '1G']);
    truncateSync(path, 32 * GIB);
    const { limits } = await checkNeeds(path);
    const counts = (limits?.memory ?? 0) - 2 * GIB;
    // With one arena, as each that a thread takes counts 64 MiB.
    const check = ['env', 'MALLOC_ARENA_MAX=1', 'qemu-img', 'check', '-q', '-f', 'qcow2', path];
    const withMemory = (bytes: number) => runProgram('prlimit', [`--as=${bytes}`, '--', ...check]);
    // Little for a program that is to do nothing else; all but half of the counts is not enough.
    const room = 2 ** 28;
    await withMemory(room + counts);
    await assert.rejects(withMemory(room + counts / 2), /Cannot allocate memory/);
  });

  it('is too much where the counts have many GiB, and nobody is asked', async () => {
    await needsOf({ clusterBits: 9, virtualSize: 1 << 16 }, 8192 * GIB);
    assert.equal(await askQemu(path, { scratch }), 'it would need too much memory');
  });
});
