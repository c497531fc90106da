/** Real clients' exchanges (zstack-api.md 6, 7, 8, 9), replayed against the service on both databases. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';
import { readRecording, replay, type Values } from './recorded.ts';

const directory = join(import.meta.dirname, 'recordings');

for (const database of ['sqlite', 'postgres'] as const) {
  describe(`recorded exchanges on ${database}`, () => {
    let service: TestService;
    let source: RangeServer;
    before(async () => {
      const disk = readFileSync((await smallQcow2()).path);
      source = await startRangeServer({ files: { '/c7.qcow2': disk } });
      service = await startTestService({ database });
    });
    after(async () => {
      await service.stop();
      await source.close();
    });

    for (const file of readdirSync(directory).sort()) {
      it(file.replace('.txt', ''), async (t) => {
        const disk = readFileSync((await smallQcow2()).path);
        const values: Values = new Map([
          [
            'password',
            createHash('sha512')
              .update(readFileSync(join(service.data, 'admin-password'), 'utf8').trim())
              .digest('hex'),
          ],
          ['source', source.url('/').replace(/\/$/, '')],
          ['address', service.address],
          ['bytes', String(disk.length)],
          ['md5', createHash('md5').update(disk).digest('hex')],
          ['sha256', createHash('sha256').update(disk).digest('hex')],
          ['secret1', 'aSecretOfFortyCharactersThatNobodyKnows1'],
          ['file', file.replace(/\W/g, '')],
        ]);
        for (const exchange of readRecording(readFileSync(join(directory, file), 'utf8'))) {
          await t.test(exchange.title, () => replay(exchange, service.address, values));
        }
      });
    }
  });
}
