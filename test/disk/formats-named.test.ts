/**
 * The format of a disk is read from its bytes once, by us, and named to every program of QEMU's from then on: one
 * that probes takes what a guest has written for a qcow2 with a backing file.
 */
import assert from 'node:assert/strict';
import { chmodSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DiskReader } from '../../src/disk/disk-reader.ts';
import { DiskStream } from '../../src/disk/disk-stream.ts';
import {
  checkDisk,
  convertDisk,
  mapDisk,
  rebaseDisk,
  resizeDisk,
  shrinkDisk,
} from '../../src/disk/qemu-img.ts';
import { askQemu } from '../../src/disk/second-opinion.ts';
import { findProgram } from '../support/program.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { Workbench } from './workbench.ts';

const PROGRAMS = ['qemu-img', 'qemu-nbd'];

describe('the formats of disks', () => {
  const directory = temporaryDirectory();
  const record = join(directory, 'lines');
  const before_ = process.env.PATH;
  let bench: Workbench;
  before(() => {
    bench = new Workbench();
    writeFileSync(record, '');
    // Each says how it was called, and then is what it stands for.
    for (const program of PROGRAMS) {
      const script = `#!/bin/sh\nprintf '%s ' ${program} "$@" >> '${record}'\necho >> '${record}'\nexec '${findProgram(program)}' "$@"\n`;
      writeFileSync(join(directory, program), script);
      chmodSync(join(directory, program), 0o755);
    }
    process.env.PATH = `${directory}:${before_}`;
  });
  after(() => {
    process.env.PATH = before_;
    bench.remove();
  });

  it('are named in every call of a program of QEMU', async () => {
    const base = bench.convert(bench.create('source', 'raw'), 'base', '-c', '-f', 'raw', '-O', 'qcow2');
    const path = bench.path('disk');
    bench.run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'base', '-F', 'qcow2', path);
    writeFileSync(record, '');
    const disk = { path, format: 'qcow2' } as const;
    await resizeDisk(path, 32 << 20);
    await shrinkDisk(path, 16 << 20);
    await checkDisk(path);
    await mapDisk(disk, () => {});
    await convertDisk(disk, { path: bench.path('raw'), format: 'raw' });
    await rebaseDisk(path, { name: 'base', format: 'qcow2' });
    const reader = await DiskReader.open({ path: base, format: 'qcow2' });
    reader.close();
    const stream = await DiskStream.open(disk, { virtualSize: 16 << 20 });
    await stream.read(Buffer.alloc(Math.min(stream.size, 1 << 20)), 0);
    stream.close();
    await rebaseDisk(path, undefined);
    const lines = readFileSync(record, 'utf8').trim().split('\n');
    assert.ok(lines.length >= 10, lines.join('\n'));
    for (const line of lines) {
      const words = line.trim().split(' ');
      const has = (...flags: string[]) => flags.some((flag) => words.includes(flag));
      assert.ok(has('-f', '--format'), `the format is not named: ${line}`);
      if (has('-b') && words[words.indexOf('-b') + 1] !== '' && has('-F') === false)
        assert.match(line, / -b {2}/, `the format of the backing file is not named: ${line}`);
      if (words[1] === 'convert') assert.ok(has('-O'), line);
      // And no name is taken for a protocol.
      assert.match(words.at(-1) ?? '', /^(?:file:|\d+$)/, line);
    }
  });

  it('are named when a foreign file is looked at, shut in', async () => {
    const path = bench.create('foreign', 'qcow2');
    // It can write nowhere but to its parent; so it says there how it was called.
    writeFileSync(join(directory, 'qemu-img'), '#!/bin/sh\necho "$@" >&2\nexit 2\n');
    await assert.rejects(
      askQemu(path, { scratch: directory }),
      /qemu-img check says "check -q -U -f qcow2 the image"/,
    );
  });

  it('and nothing else in the sources calls such a program', () => {
    const source = join(import.meta.dirname, '..', '..', 'src');
    const callers = globSync('**/*.ts', { cwd: source }).filter((file) =>
      /(?:spawn|exec|startProgram|runProgram|startDaemon)\w*\(\s*['"`]qemu/.test(
        readFileSync(join(source, file), 'utf8'),
      ),
    );
    assert.deepEqual(callers.sort(), ['disk/disk-reader.ts', 'disk/qemu-img.ts']);
  });
});
