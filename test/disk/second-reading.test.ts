import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DiskInspector } from '../../src/disk/inspector.ts';
import { readSecondTime } from '../../src/disk/second-reading.ts';
import { type Forged, forge, u64 } from '../hostile/forge.ts';

/** What of the image was asked for again. */
async function readAgain(
  { bytes }: Pick<Forged, 'bytes'>,
  upTo = bytes.length,
  {
    signal,
    onAsk = () => {},
    most = bytes.length,
  }: { signal?: AbortSignal; onAsk?: () => void; most?: number } = {},
): Promise<[number, number][]> {
  const inspector = new DiskInspector();
  inspector.write(bytes);
  inspector.end();
  const asked: [number, number][] = [];
  await readSecondTime(inspector, {
    size: bytes.length,
    signal: signal ?? new AbortController().signal,
    async read(target, start) {
      asked.push([start, start + target.length]);
      onAsk();
      return bytes.copy(target, 0, start, Math.min(start + target.length, start + most, upTo));
    },
  });
  assert.equal(inspector.unread(), undefined);
  return asked;
}

/** An empty disk in clusters of 512 bytes whose L1 table lies last: L2 tables with so many clusters between them. */
function manyTables(count: number, between: number): Buffer {
  const cluster = 512;
  const l1 = (1 + count * (1 + between)) * cluster;
  const refcountTable = l1 + Math.ceil((count * 8) / cluster) * cluster;
  const bytes = Buffer.alloc(refcountTable + cluster);
  bytes.write('QFI\xfb', 0, 'latin1');
  bytes.writeUInt32BE(3, 4);
  bytes.writeUInt32BE(9, 20);
  u64(bytes, count * 64 * cluster, 24);
  bytes.writeUInt32BE(count, 36);
  u64(bytes, l1, 40);
  u64(bytes, refcountTable, 48);
  bytes.writeUInt32BE(1, 56);
  bytes.writeUInt32BE(4, 96);
  bytes.writeUInt32BE(104, 100);
  for (let index = 0; index < count; index++) {
    u64(bytes, BigInt((1 + index * (1 + between)) * cluster) | (1n << 63n), l1 + index * 8);
  }
  return bytes;
}

describe('a second reading', () => {
  it('asks for nothing where all tables come behind those that tell of them', async () => {
    assert.deepEqual(await readAgain(forge({ snapshot: true, bitmap: true })), []);
  });

  it('asks for the L2 tables in front of the L1 table, once', async () => {
    const forged = forge({ l1Last: true });
    const { l2 } = forged.at;
    assert.deepEqual(await readAgain(forged), [[l2, l2 + forged.clusterSize]]);
  });

  it('goes on where it was given less than it asked for', async () => {
    const forged = forge({ l1Last: true });
    for (const most of [7, 4093]) {
      const asked = await readAgain(forged, forged.bytes.length, { most });
      assert.equal(asked.length, Math.ceil(forged.clusterSize / most));
    }
  });

  it('refuses what it finds there', async () => {
    const forged = forge({ l1Last: true });
    u64(forged.bytes, forged.at.l2, forged.at.l2 + 80);
    await assert.rejects(readAgain(forged), { code: 'IMG.1002', message: /where metadata are/ });
  });

  it('says so when the store gives back less than was written', async () => {
    const forged = forge({ l1Last: true });
    await assert.rejects(readAgain(forged, forged.at.l2 + 1000), {
      code: 'SYS.1016',
      message: /gave back 1000 of 65536 bytes of the image's L2 table/,
    });
  });

  it('reads together what lies together, in bounded pieces', async () => {
    const bytes = manyTables(30_000, 0);
    const asked = await readAgain({ bytes });
    assert.ok(asked.length < 20, String(asked.length));
    for (const [start, end] of asked) assert.ok(end - start <= 4 << 20 && end <= bytes.length);
    const apart = await readAgain({ bytes: manyTables(1000, 10) });
    assert.ok(apart.length < 15, String(apart.length));
  });

  it('reads no more than the tables where they lie far from each other', async () => {
    const asked = await readAgain({ bytes: manyTables(100, 200) });
    assert.deepEqual(
      [asked.length, new Set(asked.map(([start, end]) => end - start))],
      [100, new Set([512])],
    );
  });

  it('ends as soon as it is told to', async () => {
    const stop = new AbortController();
    let asked = 0;
    const onAsk = () => {
      if (++asked === 3) stop.abort(new Error('enough'));
    };
    const bytes = manyTables(100, 200);
    await assert.rejects(readAgain({ bytes }, bytes.length, { signal: stop.signal, onAsk }), /enough/);
    assert.equal(asked, 3);
  });
});
