import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { presentAnswer, zstackDate } from '../../src/http/present.ts';
import { Image } from '../../src/image/image.ts';
import { date } from '../../src/kernel/field.ts';
import { answerOf, inventoriesOf, inventoryOf } from '../../src/kernel/message.ts';
import { parseDate } from '../../src/kernel/parse.ts';

const at = (...parts: [number, number, number, number, number, number]) =>
  zstackDate(new Date(...parts).getTime());

describe('a date for ZStack', () => {
  it('is the English form of 2015, in the time zone of the service', () => {
    assert.equal(at(2015, 5, 1, 18, 17, 48), 'Jun 1, 2015 6:17:48 PM');
    assert.equal(at(2026, 0, 31, 0, 0, 0), 'Jan 31, 2026 12:00:00 AM');
    assert.equal(at(2026, 0, 31, 12, 0, 0), 'Jan 31, 2026 12:00:00 PM');
    assert.equal(at(2026, 11, 9, 11, 59, 59), 'Dec 9, 2026 11:59:59 AM');
    assert.equal(at(2026, 8, 10, 13, 5, 9), 'Sep 10, 2026 1:05:09 PM');
  });

  it('has nothing but ASCII, and leads back to its second', () => {
    const time = fc.integer({ min: 0, max: Date.UTC(2100, 0, 1) });
    fc.assert(
      fc.property(time, (milliseconds) => {
        const text = zstackDate(milliseconds);
        assert.match(text, /^[A-Z][a-z]{2} [1-3]?\d, \d{4} 1?\d:[0-5]\d:[0-5]\d [AP]M$/);
        // The hour that is there twice when the clocks go back can be either.
        const away = Math.abs((parseDate(text) ?? 0) - Math.floor(milliseconds / 1000) * 1000);
        assert.ok(away === 0 || away === 3_600_000, text);
      }),
    );
  });
});

describe('an answer', () => {
  const time = new Date(2015, 5, 1, 18, 17, 48).getTime();
  const shown = 'Jun 1, 2015 6:17:48 PM';

  it('shows every date that its declaration has, inside its lists too, and nothing else as one', () => {
    const inventory = () => ({
      uuid: 'x',
      size: time,
      createDate: time,
      lastOpDate: time + 999,
      backupStorageRefs: [{ imageUuid: 'x', createDate: time, lastOpDate: time }],
    });
    const expected = {
      uuid: 'x',
      size: time,
      createDate: shown,
      lastOpDate: shown,
      backupStorageRefs: [{ imageUuid: 'x', createDate: shown, lastOpDate: shown }],
    };
    assert.deepEqual(
      presentAnswer(inventoryOf(Image), { inventory: inventory(), failures: [{ createDate: time }] }),
      {
        inventory: expected,
        failures: [{ createDate: time }],
      },
    );
    assert.deepEqual(
      presentAnswer(inventoriesOf(Image), { inventories: [inventory(), inventory()], total: 2 }),
      {
        inventories: [expected, expected],
        total: 2,
      },
    );
    assert.deepEqual(presentAnswer(answerOf({ when: date(''), count: date('') }), { when: time }), {
      when: shown,
    });
    assert.deepEqual(presentAnswer(inventoriesOf(Image), { total: 7 }), { total: 7 });
  });
});
