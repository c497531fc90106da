/** Nothing that a caller gives leads out of a storage, or into a path at all. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, normalize, sep } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { fileOf } from '../../src/backup-storage/local/object-path.ts';
import { messages } from '../../src/catalogue.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { parseParameters } from '../../src/kernel/parse.ts';
import { isUuid } from '../../src/kernel/uuid.ts';
import { startRangeServer } from '../support/range-server.ts';
import { startTestService } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';

const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc
    .array(
      fc.constantFrom(
        '..',
        '.',
        '',
        '/',
        '\\',
        '\0',
        'a',
        '~',
        '%2e%2e',
        '..%2f',
        '.ingot-x',
        'x.part',
        '\n',
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join('/')),
);

describe('a path', () => {
  it('of an object is below the root, or refused', () => {
    fc.assert(
      fc.property(nasty, (path) => {
        let file: string;
        try {
          file = fileOf('/srv/root', path);
        } catch (error) {
          assert.ok(error instanceof IngotError && error.code === 'SYS.1007');
          return;
        }
        assert.equal(normalize(file), file);
        assert.ok(file.startsWith(`/srv/root${sep}`), file);
        assert.equal(file.includes('\0'), false);
      }),
      { numRuns: 2000 },
    );
  });

  it('has no uuid in it that is none: none gets through any message', () => {
    const taking = messages.filter(({ parameters }) => parameters.resourceUuid?.kind === 'uuid');
    assert.ok(taking.length > 5);
    fc.assert(
      fc.property(nasty, fc.constantFrom(...taking), (resourceUuid, message) => {
        fc.pre(!isUuid(resourceUuid.trim()) && resourceUuid !== '');
        const { resourceUuid: field } = message.parameters;
        assert.ok(field);
        assert.throws(() => parseParameters(message.name, { resourceUuid: field }, { resourceUuid }), {
          code: 'SYS.1007',
        });
      }),
    );
  });

  it('on a storage has none of the names that an image was given', async () => {
    const source = await startRangeServer({ files: { '/a.qcow2': readFileSync((await smallQcow2()).path) } });
    const service = await startTestService();
    const name = '../../../../tmp/evil';
    try {
      const { inventory } = await service.client.call('AddImage', {
        name,
        description: name,
        guestOsType: name,
        url: `${source.url('/a.qcow2')}?/../../../${name}`,
        userTags: [name],
      });
      assert.equal(inventory.name, name);
      const below = readdirSync(join(service.data, 'backup-storage'), { recursive: true, encoding: 'utf8' });
      for (const path of below) {
        assert.match(
          path,
          /^(?:\.ingot-backup-storage|templates(?:\/acct-[0-9a-f]{32}(?:\/([0-9a-f]{32})(?:\/\1\.(?:template|ingot\.json)(?:\.part)?)?)?)?)$/,
        );
      }
    } finally {
      await service.stop();
      await source.close();
    }
  });
});
