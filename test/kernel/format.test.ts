import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatDuration, formatSize, shorten } from '../../src/kernel/format.ts';
import { parseNumber } from '../../src/kernel/parse.ts';

describe('a size', () => {
  it('is written in the largest binary unit with three digits at most', () => {
    const written: [number, string][] = [
      [0, '0 B'],
      [1023, '1023 B'],
      [1024, '1 KiB'],
      [1536, '1.5 KiB'],
      [1_610_612_736, '1.5 GiB'],
      [100.4 * 2 ** 20, '100 MiB'],
      [1_048_575, '1 MiB'],
      [2 ** 60, '1024 PiB'],
    ];
    for (const [bytes, text] of written) assert.equal(formatSize(bytes), text);
  });

  it('reads back as nearly the same', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 52 }), (bytes) => {
        const [, number, unit] = /^([\d.]+) (\S+)$/.exec(formatSize(bytes)) ?? [];
        const scale = parseNumber(`1${unit}`, true) ?? Number.NaN;
        assert.ok(Math.abs(Number(number) * scale - bytes) <= bytes / 100);
      }),
    );
  });
});

describe('a duration', () => {
  it('is written in its two largest units', () => {
    const written: [number, string][] = [
      [0, '0 ms'],
      [999, '999 ms'],
      [4200, '4.2 s'],
      [9960, '10 s'],
      [42_000, '42 s'],
      [59_700, '1 min 0 s'],
      [200_000, '3 min 20 s'],
      [119_900, '2 min 0 s'],
      [3_599_900, '1 h 0 min'],
      [7_500_000, '2 h 5 min'],
    ];
    for (const [milliseconds, text] of written) assert.equal(formatDuration(milliseconds), text);
  });
});

describe('what somebody wrote', () => {
  it('is shown in part where it is long', () => {
    assert.equal(shorten('x'.repeat(80)), 'x'.repeat(80));
    assert.equal(shorten('x'.repeat(81)), `${'x'.repeat(80)}…`);
  });
});
