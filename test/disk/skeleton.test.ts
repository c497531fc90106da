import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { DataDirectory } from '../../src/data-directory.ts';
import { Skeleton } from '../../src/disk/skeleton.ts';
import { startServiceProcess } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

describe('the skeleton of an image', () => {
  it('has what was written at its place, is as long as the image, and goes', () => {
    const scratch = temporaryDirectory();
    const skeleton = new Skeleton(scratch);
    skeleton.write(Buffer.from('gone'), 0);
    skeleton.clear();
    skeleton.write(Buffer.from('table'), 70_000);
    const path = skeleton.finish(200_000) ?? '';
    assert.equal(statSync(path).size, 200_000);
    assert.equal(readFileSync(path).toString('latin1', 69_999, 70_006), '\0table\0');
    skeleton.remove();
    assert.deepEqual(readdirSync(scratch), []);
  });

  it('of a process that was killed goes with the next start', async () => {
    const data = new DataDirectory(temporaryDirectory());
    mkdirSync(data.scratch);
    const module = new URL('../../src/disk/skeleton.ts', import.meta.url).href;
    const script = `import { Skeleton } from '${module}';
      new Skeleton('${data.scratch}').write(Buffer.alloc(4096, 1), 0);
      console.log('written');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script]);
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    const [left = ''] = readdirSync(data.scratch);
    assert.equal(statSync(join(data.scratch, left, 'image')).size, 4096);
    const service = await startServiceProcess({ data: data.path });
    try {
      assert.deepEqual(readdirSync(data.scratch), []);
    } finally {
      await service.stop();
    }
  });
});
