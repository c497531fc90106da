import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DiskInspector } from '../../src/disk/inspector.ts';
import { readSecondTime } from '../../src/disk/second-reading.ts';
import { type Forged, forge, u64 } from '../hostile/forge.ts';

/** What of the image was asked for again. */
async function readAgain(
  { bytes }: Forged,
  pieces: number,
  upTo = bytes.length,
): Promise<[number, number][]> {
  const inspector = new DiskInspector();
  inspector.write(bytes);
  inspector.end();
  const asked: [number, number][] = [];
  await readSecondTime(inspector, async function* ({ start, end }) {
    asked.push([start, end]);
    for (let at = start; at < Math.min(end, upTo); at += pieces)
      yield bytes.subarray(at, Math.min(end, upTo, at + pieces));
  });
  return asked;
}

describe('a second reading', () => {
  it('asks for nothing where all tables come behind those that tell of them', async () => {
    assert.deepEqual(await readAgain(forge({ snapshot: true, bitmap: true }), 512), []);
  });

  it('asks for the L2 tables in front of the L1 table, once', async () => {
    const forged = forge({ l1Last: true });
    const { l2 } = forged.at;
    for (const pieces of [1, 7, 65536, 1 << 20])
      assert.deepEqual(await readAgain(forged, pieces), [[l2, l2 + forged.clusterSize]]);
  });

  it('refuses what it finds there', async () => {
    const forged = forge({ l1Last: true });
    u64(forged.bytes, forged.at.l2, forged.at.l2 + 80);
    await assert.rejects(readAgain(forged, 100), { code: 'IMG.1002', message: /where metadata are/ });
  });

  it('says so when the store gives back less than was written', async () => {
    const forged = forge({ l1Last: true });
    await assert.rejects(readAgain(forged, 100, forged.at.l2 + 1000), {
      code: 'SYS.1016',
      message: /gave back 1000 of 65536 bytes of the image's L2 table/,
    });
  });
});
