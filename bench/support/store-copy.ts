/**
 * A file to a backup storage or from one, in a process of its own, which tells its time and its largest memory.
 *   store-copy.ts MODULE FACTORY OPTIONS put|put-checked|get FILE
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { BackupStorageDriver } from '../../src/backup-storage/driver.ts';

const [module = '', factory = '', options = '', direction = '', file = ''] = process.argv.slice(2);
const CHUNK = 1024 * 1024;
const AHEAD = 12;

const driver: BackupStorageDriver = (await import(module))[factory](JSON.parse(options));
const began = performance.now();
if (direction === 'get') await get();
else await put(direction === 'put-checked');
const seconds = (performance.now() - began) / 1000;
await driver.close();
console.log(JSON.stringify({ seconds, memory: process.resourceUsage().maxRSS * 1024 }));

/** As a transfer does: in chunks of shared memory, a few of them under way at once. */
async function put(checked: boolean): Promise<void> {
  const source = await open(file);
  const hash = createHash('sha256');
  const memory = new SharedArrayBuffer(AHEAD * CHUNK);
  const chunks = Array.from({ length: AHEAD }, (_, i) => new Uint8Array(memory, i * CHUNK, CHUNK));
  const writes: Promise<void>[] = [];
  const writer = await driver.create('bench/object');
  for (let i = 0; ; i++) {
    await writes[i - AHEAD];
    const chunk = chunks[i % AHEAD] as Uint8Array;
    const { bytesRead } = await source.read(chunk, 0, CHUNK);
    if (bytesRead === 0) break;
    if (checked) hash.update(chunk.subarray(0, bytesRead));
    writes.push(writer.write(chunk.subarray(0, bytesRead)));
  }
  await Promise.all(writes);
  await writer.commit(checked ? { sha256: hash.digest('hex') } : {});
  await source.close();
}

async function get(): Promise<void> {
  const target = await open(file, 'w');
  for await (const piece of driver.read('bench/object')) await target.write(piece);
  await target.sync();
  await target.close();
}
