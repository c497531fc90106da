import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { messages } from '../../src/catalogue.ts';
import { sortedJson } from '../../src/cli/answer.ts';
import { describeError } from '../../src/cli/describe-error.ts';
import { displayWidth, fit, pad } from '../../src/cli/display-width.ts';
import { renderListing } from '../../src/cli/listing.ts';
import { progressLine, progressText } from '../../src/cli/progress-bar.ts';
import { renderTable } from '../../src/cli/table.ts';
import { printable } from '../../src/cli/terminal.ts';
import type { Resource } from '../../src/kernel/resource.ts';

function resource(name: string): Resource {
  const found = messages.find((message) => message.resource?.name === name)?.resource;
  assert.ok(found);
  return found;
}

const IMAGE = {
  uuid: '7f0f1a3c9f3b4a0c8d1e2b3c4d5e6f70',
  name: '中文名字系统镜像',
  state: 'Enabled',
  status: 'Ready',
  size: 10 * 2 ** 30,
  actualSize: 1536,
  type: 'zstack',
  format: 'qcow2',
  createDate: 'Jun 1, 2015 6:17:48 PM',
  backupStorageRefs: [{ imageUuid: '7f0f', backupStorageUuid: 'b5', installPath: '/x' }],
};

describe('widths', () => {
  it('are those of a terminal', () => {
    for (const [text, width] of [
      ['abc', 3],
      ['中文', 4],
      ['한국어', 6],
      ['ｆｕｌｌ', 8],
      ['é', 1],
      ['e\u0301', 1],
      ['👩‍👩‍👧', 2],
      ['😀', 2],
      ['𠀀', 2],
      ['\u200b', 0],
    ] as const) {
      assert.equal(displayWidth(text), width, text);
    }
  });

  it('are never more than what a text was fitted to', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 0, max: 40 }), (text, width) => {
        assert.ok(displayWidth(fit(text, width)) <= width);
        assert.ok(displayWidth(pad(text, width)) >= width);
      }),
    );
  });
});

describe('a table', () => {
  it('fits the terminal, and its columns stand below each other', () => {
    for (const width of [60, 80, 100, 132, 200]) {
      const lines = renderTable(resource('Image'), [IMAGE, { ...IMAGE, name: 'x'.repeat(200) }], {
        width,
      }).split('\n');
      assert.equal(lines.length, 3);
      for (const line of lines) assert.ok(displayWidth(line) <= width, `${width}: ${line}`);
      assert.match(lines[0] ?? '', /^uuid\s+name/);
      const before = (line: string) => displayWidth(line.slice(0, line.indexOf('Enabled')));
      if (width >= 80) assert.equal(before(lines[1] ?? ''), before(lines[2] ?? ''));
    }
  });

  it('shows sizes in binary units and no column that says nothing', () => {
    const text = renderTable(resource('Image'), [IMAGE], { width: undefined });
    assert.match(text, /10 GiB\s+1\.5 KiB/);
    assert.doesNotMatch(text, /zstack|platform/);
  });

  it('shows the fields that were asked for', () => {
    const text = renderTable(resource('Image'), [IMAGE], {
      width: 80,
      fields: ['size', 'name', 'createDate'],
    });
    assert.match(text, /^\s*size\s+name\s+createDate\n/);
    assert.match(text, /Jun 1, 2015 6:17:48 PM/);
  });
});

describe('a listing', () => {
  it('shows every member, and what it holds of others below', () => {
    const text = renderListing(resource('Image'), IMAGE);
    assert.match(text, /^uuid +7f0f/);
    assert.match(text, /\nsize +10 GiB \(10737418240 bytes\)\n/);
    assert.match(text, /\nbackupStorageRefs\n {2}- imageUuid +7f0f\n {4}backupStorageUuid +b5/);
  });

  it('does not let a text steer the terminal', () => {
    assert.equal(printable('a\u001b[31mb\nc\u009b'), 'a\\x1b[31mb\\nc\\x9b');
    assert.ok(!renderListing(resource('Image'), { name: '\u001b]0;x\u0007' }).includes('\u001b'));
  });
});

describe('progress', () => {
  const progress = {
    percent: 43,
    bytesDone: 430 * 2 ** 20,
    bytesTotal: 1000 * 2 ** 20,
    bytesResumed: 200 * 2 ** 20,
    bytesPerSecond: 310 * 2 ** 20,
    secondsLeft: 2,
  };

  it('is a line of text', () => {
    assert.equal(progressText(progress), ' 43%  430 MiB of 1000 MiB  310 MiB/s  2.0 s left  resumed 200 MiB');
    assert.equal(
      progressLine('AddImage', progress, 120),
      `AddImage [${'█'.repeat(12)}${'░'.repeat(18)}]  43%  430 MiB of 1000 MiB  310 MiB/s  2.0 s left  resumed 200 MiB`,
    );
    assert.equal(progressText({ percent: 0 }), '  0%');
    assert.equal(progressText({ percent: 0, placeInLine: 3 }), 'waiting, number 3 in line');
  });

  it('never wraps', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 200 }),
        fc.record({
          percent: fc.integer({ min: 0, max: 100 }),
          bytesDone: fc.option(fc.nat({ max: 2 ** 53 - 1 }), { nil: undefined }),
          bytesTotal: fc.option(fc.nat({ max: 2 ** 53 - 1 }), { nil: undefined }),
          bytesResumed: fc.option(fc.nat({ max: 2 ** 53 - 1 }), { nil: undefined }),
          bytesPerSecond: fc.option(fc.nat(), { nil: undefined }),
          secondsLeft: fc.option(fc.nat(), { nil: undefined }),
        }),
        (width, any) => assert.ok(displayWidth(progressLine('AddImage', any, width)) < width),
      ),
    );
  });
});

describe('errors and JSON', () => {
  it('point at the place that an error is about', () => {
    const elaboration = 'name=a AND size<\n                ^';
    assert.equal(
      describeError({ code: 'SYS.1007', description: '', details: 'what', elaboration }),
      'SYS.1007: what\n  name=a AND size<\n                  ^',
    );
  });

  it('show what caused an error below it', () => {
    assert.equal(
      describeError({
        code: 'SYS.1002',
        description: '',
        details: 'no storage has it',
        elaboration: 'Try again.',
        causes: [
          {
            code: 'BS.1000',
            description: '',
            details: 'a',
            cause: { code: 'SYS.1016', description: '', details: 'b' },
          },
        ],
      }),
      'SYS.1002: no storage has it\n  Try again.\n  BS.1000: a\n    SYS.1016: b',
    );
  });

  it('have sorted keys and an indent of four', () => {
    assert.equal(
      sortedJson({ b: [{ d: 1, c: 2 }], a: null }),
      '{\n    "a": null,\n    "b": [\n        {\n            "c": 2,\n            "d": 1\n        }\n    ]\n}',
    );
  });
});
