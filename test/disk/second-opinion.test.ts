import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { newerFeatures, sampleWith } from '../../src/disk/newer-features.ts';
import { sandboxed } from '../../src/disk/sandbox.ts';
import { askQemu } from '../../src/disk/second-opinion.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { forge, u64 } from '../hostile/forge.ts';
import { findProgram } from '../support/program.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { inspect } from './workbench.ts';

const directory = temporaryDirectory();

async function shutIn(script: string, limits = { cpu: 5, memory: 2 ** 28 }) {
  const [program = '', ...line] = (await sandboxed(limits)) ?? [];
  assert.equal(program, 'prlimit');
  try {
    const output = execFileSync(program, [...line, '--', 'sh', '-c', script], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
    return { output, ended: 'well' };
  } catch (error) {
    const { signal, status, stderr } = error as { signal: string | null; status: number; stderr: string };
    return { output: stderr, ended: signal ?? status };
  }
}

describe('a program that is shut in', () => {
  it('can not write a file', async () => {
    const file = join(directory, 'written');
    const { ended } = await shutIn(`echo x > '${file}'`);
    assert.notEqual(ended, 'well');
    assert.equal(existsSync(file) && readFileSync(file, 'utf8'), '');
  });

  it('has no network but its own', async () => {
    const { output } = await shutIn('cat /proc/net/dev');
    const devices = [...output.matchAll(/^ *(\w+):/gm)].map(([, name]) => name);
    assert.deepEqual(devices, ['lo']);
  });

  it('has no capability left, and can get none', async () => {
    const { output } = await shutIn('grep -E "^(CapBnd|CapEff|NoNewPrivs)" /proc/self/status');
    assert.match(output, /CapEff:\t0{16}\nCapBnd:\t0{16}\nNoNewPrivs:\t1/);
  });

  it('is ended when it takes too much time or memory', async () => {
    const forEver = await shutIn('while :; do :; done', { cpu: 1, memory: 2 ** 28 });
    assert.notEqual(forEver.ended, 'well');
    const tooMuch = await shutIn('x=$(head -c 100000000 /dev/zero | tr "\\0" x); echo "$' + '{#x}"', {
      cpu: 20,
      memory: 2 ** 26,
    });
    assert.notEqual(tooMuch.output.trim(), '100000000');
  });
});

describe('what qemu-img check says', () => {
  const path = join(directory, 'disk.qcow2');
  const scratch = temporaryDirectory();
  const ask = () => askQemu(path, { scratch });
  const refused = async (bytes: Buffer, sentence: RegExp) => {
    writeFileSync(path, bytes);
    await assert.rejects(ask(), (error) => {
      assert.ok(error instanceof IngotError && error.code === 'IMG.1002', String(error));
      assert.match(error.details, sentence);
      return true;
    });
  };

  it('is nothing about a sound image', async () => {
    writeFileSync(path, forge({ snapshot: true, bitmap: true, compressed: true }).bytes);
    assert.equal(await ask(), undefined);
  });

  it('is nothing where a cluster belongs to nothing', async () => {
    const { bytes, at } = forge();
    bytes.writeUInt16BE(1, at.refcountBlock + (bytes.length / 65536) * 2);
    writeFileSync(path, Buffer.concat([bytes, Buffer.alloc(65536)]));
    assert.equal(await ask(), undefined);
  });

  it('refuses wrong reference counts, which we do not count ourselves', async () => {
    const { bytes, at } = forge();
    bytes.writeUInt16BE(0, at.refcountBlock + (at.data / 65536) * 2);
    await refused(bytes, /qemu-img check says "ERROR cluster \d+ refcount=0 reference=1/);
  });

  it('refuses what it can not open', async () => {
    await refused(Buffer.alloc(65536), /qemu-img check says ".*not in qcow2 format/);
    const { bytes, at } = forge();
    u64(bytes, at.l1 + 1, 40);
    await refused(bytes, /qemu-img check says/);
  });

  it('is not asked where nothing can be shut in', () => {
    const tools = temporaryDirectory();
    // No unshare: there the network could be reached.
    for (const name of ['qemu-img', 'prlimit', 'setpriv', 'true'])
      symlinkSync(findProgram(name), join(tools, name));
    writeFileSync(path, forge().bytes);
    const module = new URL('../../src/disk/second-opinion.ts', import.meta.url).href;
    const script = `import { askQemu } from '${module}'; console.log(await askQemu('${path}', { scratch: '${tools}' }));`;
    const line = ['--input-type=module', '--eval', script];
    const said = execFileSync(process.execPath, line, { env: { PATH: tools }, encoding: 'utf8' });
    assert.equal(said, 'no sandbox\n');
  });

  describe('of what it is called', () => {
    const known = process.env.PATH;
    const tools = temporaryDirectory();
    before(() => {
      process.env.PATH = `${tools}:${known}`;
      writeFileSync(path, forge().bytes);
    });
    after(() => {
      process.env.PATH = known;
    });
    const pretend = (script: string) => {
      writeFileSync(join(tools, 'qemu-img'), `#!/bin/sh\n${script}\n`);
      chmodSync(join(tools, 'qemu-img'), 0o755);
    };
    beforeEach(() => pretend('exit 0'));

    it('refuses an image that makes it crash', async () => {
      pretend('kill -SEGV $$');
      await assert.rejects(ask(), /did not survive it \(SIGSEGV\)/);
    });

    /** Of the formats that are named, in that order. */
    const ends = (...codes: number[]) =>
      pretend(`case "$*" in
        *sample*) exit ${codes[2]};;
        *raw*) exit ${codes[1]};;
        *) echo "qemu-img: unknown feature: Permission denied" >&2; exit ${codes[0]};;
      esac`);

    it('takes no offence at an image that it can not open, whatever the format', async () => {
      ends(1, 1);
      assert.equal(await ask(), 'qemu-img can not read it');
      ends(127, 127);
      assert.equal(await ask(), 'qemu-img can not read it');
    });

    it('takes no offence at an image that is newer than itself, which an image of ours shows', async () => {
      ends(1, 63, 1);
      await assert.rejects(ask(), /says "qemu-img: unknown feature/);
      writeFileSync(path, forge({ extendedL2: true }).bytes);
      assert.equal(await ask(), 'qemu-img is too old');
      ends(1, 63, 0);
      await assert.rejects(ask(), /says "qemu-img: unknown feature/);
      assert.deepEqual(readdirSync(scratch), []);
    });

    it('shows what it says in short, without the place of the file', async () => {
      pretend(`printf "%s" "Could not open '$7', json:{\\"filename\\": \\"$7\\"}" >&2; exit 2`);
      await assert.rejects(ask(), (error) => {
        assert.ok(error instanceof IngotError && !error.details.includes(directory), String(error));
        return true;
      });
      // Of so many words the first are lost, and the name of the file with them in part.
      const padding = 4090 - path.length / 2;
      pretend(`printf "Could not open '%s': %0${Math.round(padding)}d" "$7" 0 >&2; exit 2`);
      await assert.rejects(ask(), (error) => {
        assert.ok(error instanceof IngotError && error.details.length < 500, String(error));
        assert.doesNotMatch(error.details, /disk\.qcow2/);
        return true;
      });
      pretend(`printf 'a\\033[31mred\\nand "so" on' >&2; exit 2`);
      await assert.rejects(ask(), /says "a \[31mred and 'so' on"/);
    });
  });

  it('knows the features that the samples of ours ask for', () => {
    for (const feature of ['zstd', 'extendedL2'] as const) {
      const sample = sampleWith(feature);
      writeFileSync(path, sample);
      assert.deepEqual(newerFeatures(sample), [feature]);
      execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', path]);
      assert.equal(inspect(sample).format, 'qcow2');
    }
  });
});
