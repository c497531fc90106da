/**
 * Writes to a store until it is killed; prints after each flush how many bytes it has made durable. With a count of MiB
 * as its last argument, it makes an object of that size visible, and prints 0 when it begins to.
 */
import type { BackupStorageDriver } from '../../src/backup-storage/driver.ts';

const [module = '', factory = '', options = '', path = '', whole = ''] = process.argv.slice(2);
const MIB = 1024 * 1024;

const driver: BackupStorageDriver = (await import(module))[factory](JSON.parse(options));
const writer = await driver.create(path);
if (whole !== '') {
  for (let i = 0; i < Number(whole); i++) await writer.write(new Uint8Array(MIB).fill(1 + i));
  console.log(0);
  await writer.commit();
  console.log(Number(whole) * MIB);
  await driver.close();
  process.exit();
}
// More than any parent waits for; an orphan must not fill a disk.
for (let i = 0; i < 200; i++) {
  const write = writer.write(new Uint8Array(MIB).fill(1 + (i % 250)));
  if (i % 2 === 0) {
    await writer.flush();
    console.log((i + 1) * MIB);
  }
  await write;
}
