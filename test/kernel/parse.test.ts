import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { IngotError } from '../../src/kernel/errors.ts';
import {
  boolean,
  bytes,
  choice,
  date,
  defaulted,
  type Fields,
  integer,
  list,
  optional,
  text,
  uuid,
} from '../../src/kernel/field.ts';
import { parseDate, parseNumber, parseParameters, splitList } from '../../src/kernel/parse.ts';
import { DESCRIPTION, NAME } from '../../src/kernel/properties.ts';
import { newUuid } from '../../src/kernel/uuid.ts';

/** What becomes of one value of one field. */
function parse(field: Fields[string], value: unknown): unknown {
  return parseParameters('Test', { it: field }, { it: value } as Record<string, unknown>).it;
}

function refuses(run: () => unknown, sentence: RegExp, parameter: string | undefined = 'it'): void {
  assert.throws(run, (thrown) => {
    assert.ok(thrown instanceof IngotError, String(thrown));
    assert.equal(thrown.code, 'SYS.1007');
    assert.match(thrown.details, sentence);
    assert.equal(thrown.opaque?.parameter, parameter);
    return true;
  });
}

const SIZE = bytes('A size.');

describe('a text parameter', () => {
  it('is trimmed, and counted in characters as people count them', () => {
    assert.equal(parse(NAME, ' \t centos 7 \n'), 'centos 7');
    assert.equal(parse(NAME, '镜像'), '镜像');
    assert.equal(parse(NAME, '💿'.repeat(255)), '💿'.repeat(255));
    refuses(() => parse(NAME, '💿'.repeat(256)), /^'it' may have at most 255 characters, but has 256$/);
    assert.equal(parse(NAME, `  ${'n'.repeat(255)}  `), 'n'.repeat(255));
    refuses(() => parse(NAME, 'n'.repeat(256)), /at most 255 characters, but has 256/);
    assert.equal(parse(DESCRIPTION, 'd'.repeat(2048)), 'd'.repeat(2048));
    refuses(() => parse(DESCRIPTION, 'd'.repeat(2049)), /at most 2048 characters, but has 2049/);
  });

  it('may hold line breaks, but no control characters and no half characters', () => {
    assert.equal(parse(DESCRIPTION, 'one\ntwo\tthree\r\nfour'), 'one\ntwo\tthree\r\nfour');
    for (const bad of ['a\0b', 'a\x07b', 'a\x1b[31mb', 'a\x7fb']) {
      refuses(() => parse(NAME, bad), /^'it' must not hold control characters$/);
    }
    refuses(() => parse(NAME, 'a\ud83db'), /^'it' must be well-formed Unicode/);
  });

  it('that is no text, or empty where it is required, is refused with its value', () => {
    refuses(() => parse(NAME, 7), /^'it' must be text, but is 7$/);
    refuses(() => parse(NAME, { a: 1 }), /^'it' must be text, but is \{"a":1\}$/);
    refuses(() => parse(NAME, ''), /^'it' must not be empty$/);
    refuses(() => parse(NAME, '   '), /^'it' must not be empty$/);
    const longer = text('', { min: 10, max: 20 });
    refuses(() => parse(longer, 'short'), /^'it' must have at least 10 characters, but has 5$/);
    refuses(() => parse(NAME, undefined), /^'it' is required: /);
    refuses(() => parse(NAME, null), /^'it' is required: /);
  });

  it('must keep the rule of its declaration, after trimming', () => {
    const path = text('A path.', {
      rule: { says: 'an absolute path', test: (value) => value.startsWith('/') },
    });
    assert.equal(parse(path, ' /srv '), '/srv');
    refuses(() => parse(path, 'srv'), /^'it' must be an absolute path, but is 'srv'$/);
    refuses(() => parse(path, 'x'.repeat(200)), /, but is 'x{119}…$/);
  });
});

describe('an optional parameter', () => {
  it('is absent when it is left out, null or empty', () => {
    for (const absent of [undefined, null, '']) {
      assert.deepEqual(
        parseParameters('Test', { it: optional(NAME), other: DESCRIPTION }, { it: absent, other: absent }),
        {},
      );
    }
  });

  it('takes its default when it is left out, null or empty', () => {
    for (const absent of [undefined, null, '']) {
      assert.equal(parse(defaulted(boolean(''), false), absent), false);
      assert.equal(parse(integer('', { default: 7 }), absent), 7);
    }
    assert.equal(parse(defaulted(boolean(''), false), 'true'), true);
  });
});

describe('a uuid parameter', () => {
  const good = 'b395386bdb4a4ff1b1850a457c949c5e';
  const parameter = uuid('');
  it('is 32 lower-case hex digits, with version and variant', () => {
    assert.equal(parse(parameter, ` ${good} `), good);
    for (let i = 0; i < 20; i++) {
      const made = newUuid();
      assert.equal(parse(parameter, made), made);
    }
    for (const bad of [
      good.slice(1),
      `${good}0`,
      `${good.slice(0, 12)}9${good.slice(13)}`,
      `${good.slice(0, 16)}7${good.slice(17)}`,
      good.replace('b', 'g'),
      `${good}\n${good}`,
      42,
      [good],
    ]) {
      refuses(() => parse(parameter, bad), /^'it' must be a v4 uuid: 32 lower-case hex digits, but is /);
    }
  });

  it('with hyphens or capitals is refused, and the right spelling is named', () => {
    const hyphens = 'b395386b-db4a-4ff1-b185-0a457c949c5e';
    for (const written of [hyphens, hyphens.toUpperCase(), good.toUpperCase()]) {
      refuses(
        () => parse(parameter, written),
        new RegExp(`without hyphens, as in ${good}, but is '${written}'$`),
      );
    }
  });
});

describe('a number parameter', () => {
  it('is taken as a number or as text, within its bounds', () => {
    const percent = integer('', { max: 100 });
    assert.equal(parse(percent, 5), 5);
    assert.equal(parse(percent, ' 100 '), 100);
    refuses(() => parse(percent, 101), /^'it' must be from 0 to 100, but is 101$/);
    refuses(() => parse(percent, '-1'), /^'it' must be from 0 to 100, but is '-1'$/);
    for (const bad of ['ten', '1.5', 1.5, '1e3', '0x10', '5B', '1K', true, [5], Number.NaN, 2 ** 53, ' ']) {
      refuses(() => parse(percent, bad), /^'it' must be a whole number, but is /);
    }
    refuses(() => parse(SIZE, -1), /^'it' must be at least 0, but is -1$/);
  });

  it('of bytes may carry a binary unit', () => {
    const meant: [string | number, number][] = [
      ['10G', 10 * 2 ** 30],
      ['10g', 10 * 2 ** 30],
      ['512MiB', 512 * 2 ** 20],
      ['512 MB', 512 * 2 ** 20],
      ['1.5T', 1.5 * 2 ** 40],
      ['1K', 1024],
      ['3P', 3 * 2 ** 50],
      ['7B', 7],
      ['7', 7],
      [7, 7],
    ];
    for (const [written, size] of meant) assert.equal(parse(SIZE, written), size, String(written));
    for (const bad of ['10X', '0.3K', '1.5', 'G', '10 G B', '9000P', '10Gi']) {
      refuses(() => parse(SIZE, bad), /^'it' must be a whole number/);
    }
  });

  it('reads back whatever whole number was written', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.boolean(), (number, withUnit) => {
        assert.equal(parseNumber(String(number), withUnit), number);
        assert.equal(parseNumber(number, withUnit), number);
      }),
    );
  });

  it('is never anything but a safe integer or nothing, whatever was written', () => {
    const number = fc.stringMatching(/^\s?[+-]?\d{1,20}(\.\d{1,4})?\s?([KMGTPkmgtpx](i?B)?)?$/);
    fc.assert(
      fc.property(fc.oneof(number, fc.string(), fc.double()), fc.boolean(), (written, withUnit) => {
        const read = parseNumber(written, withUnit);
        assert.ok(read === undefined || Number.isSafeInteger(read));
      }),
    );
  });
});

describe('a boolean parameter', () => {
  it('is true or false, as such or as text', () => {
    for (const [written, value] of [
      [true, true],
      [false, false],
      ['true', true],
      ['false', false],
    ]) {
      assert.equal(parse(boolean(''), written), value);
    }
    for (const bad of ['yes', 1, 0, 'TRUE!', {}]) {
      refuses(() => parse(boolean(''), bad), /^'it' must be true or false, but is /);
    }
  });
});

describe('a choice parameter', () => {
  const platform = choice('', { Linux: '', Windows: '' }, { aliases: { WindowsVirtio: 'Windows' } });
  it('is one of its values or of their other names', () => {
    assert.equal(parse(platform, ' Linux '), 'Linux');
    assert.equal(parse(platform, 'WindowsVirtio'), 'Windows');
  });
  it('that is none is refused with the nearest', () => {
    refuses(
      () => parse(platform, 'linux'),
      /^'it' must be one of Linux, Windows, but is 'linux'; did you mean 'Linux'\?$/,
    );
    refuses(() => parse(platform, 'Solaris'), /^'it' must be one of Linux, Windows, but is 'Solaris'$/);
    for (const inherited of ['constructor', '__proto__', 'toString', 7]) {
      refuses(() => parse(platform, inherited), /must be one of Linux, Windows/);
    }
  });
});

describe('a date parameter', () => {
  it('is a number of milliseconds, ISO 8601 or the English form', () => {
    const time = Date.UTC(2015, 5, 1, 18, 17, 48);
    assert.equal(parse(date(''), time), time);
    assert.equal(parse(date(''), String(time)), time);
    assert.equal(parse(date(''), '2015-06-01T18:17:48Z'), time);
    assert.equal(parse(date(''), '2015-06-01T20:17:48+02:00'), time);
    assert.equal(
      parse(date(''), 'Jun 1, 2015 6:17:48 PM'),
      new Date(2015, 5, 1, 18, 17, 48).getTime(), // in the service's own time zone
    );
  });
  it('that is none is refused', () => {
    for (const bad of [
      'yesterday',
      '2015-13-01',
      'Foo 1, 2015',
      '12',
      '',
      true,
      1.5,
      Number.POSITIVE_INFINITY,
      '9'.repeat(30),
      8.64e15 + 1,
      -8.64e15 - 1,
      '8640000000000001',
    ]) {
      refuses(() => parse(date(''), bad), /^'it' must (be a date, but is|not be empty)/);
    }
    assert.equal(parseDate('9'.repeat(30)), undefined);
    assert.equal(parse(date(''), 8.64e15), 8.64e15);
  });
});

describe('a list parameter', () => {
  const names = list('', text('', { max: 5 }), { max: 3 });
  it('is a list, or text with commas', () => {
    assert.deepEqual(parse(names, ['a', ' b ']), ['a', 'b']);
    assert.deepEqual(parse(names, 'a, b,c'), ['a', 'b', 'c']);
    assert.deepEqual(parse(names, 'a\\,b,c'), ['a,b', 'c']);
    assert.deepEqual(parse(names, ['a,b']), ['a,b']);
  });
  it('that is too long, too short or holds something bad is refused', () => {
    refuses(() => parse(names, ['a', 'b', 'c', 'd']), /^'it' may have at most 3 items, but has 4$/);
    refuses(() => parse(names, []), /^'it' must have at least 1 item$/);
    refuses(() => parse(names, ['abcdef']), /^'it' may have at most 5 characters, but has 6$/);
    refuses(() => parse(names, ['a', null]), /^'it' must be text, but is null$/);
    refuses(() => parse(names, 5), /^'it' must be a list, but is 5$/);
    refuses(() => parse(names, { 0: 'a' }), /^'it' must be a list, but is \{"0":"a"\}$/);
  });
  it('written with commas reads back as it was', () => {
    const item = fc.string({ minLength: 1, unit: fc.constantFrom('a', ' ', ',', '\\', '镜', "'") });
    const items = fc.array(
      item.map((one) => one.trim()).filter((one) => one !== ''),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(items, (list) => {
        const written = list.map((one) => one.replace(/[\\,]/g, '\\$&')).join(',');
        assert.deepEqual(splitList(written), list);
      }),
    );
  });
});

describe('parameters', () => {
  const fields = { name: NAME, description: DESCRIPTION };
  it('that do not exist are refused, with the nearest that does', () => {
    refuses(
      () => parseParameters('AddImage', fields, { nmae: 'x' }),
      /^AddImage has no parameter 'nmae'; did you mean 'name'\?$/,
      'nmae',
    );
    refuses(
      () => parseParameters('AddImage', fields, { name: 'x', colour: 'red' }),
      /^AddImage has no parameter 'colour'$/,
      'colour',
    );
  });
  it('named like members of every object are unknown as well, and change no object', () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      const input = JSON.parse(`{"name":"x",${JSON.stringify(name)}:{"admin":true}}`);
      refuses(
        () => parseParameters('AddImage', fields, input),
        new RegExp(`has no parameter '${name}'`),
        name,
      );
    }
    assert.equal(({} as Record<string, unknown>).admin, undefined);
    const inherited = Object.create({ name: 'x' });
    refuses(() => parseParameters('AddImage', fields, inherited), /^'name' is required/, 'name');
  });
  it("that ZStack's clients send to everything are passed over", () => {
    assert.deepEqual(
      parseParameters('AddImage', fields, { name: 'x', session: {}, requestIp: '1.2.3.4', null: 1 }),
      { name: 'x' },
    );
  });
});

describe('what an error shows of a value', () => {
  it('is no more than a line, of a name as well', () => {
    const name = 'n'.repeat(1_000_000);
    assert.throws(
      () => parseParameters('Test', {}, { [name]: 1 }),
      (thrown) => thrown instanceof IngotError && JSON.stringify(thrown.toBody()).length < 500,
    );
  });

  it('is no password', () => {
    const rule = {
      says: 'an http:// URL',
      test: (url: string) => /^http:\/\/[^/\s]/.test(url) && URL.canParse(url),
    };
    const url = text('', { url: true, rule });
    for (const value of [
      'ftp://me:sesame@server/image',
      'ftp://me:sesa@me@server/image',
      'me:sesame@server/image',
      'http//me:sesame@server',
      'http:// me:sesame@server',
      'http:///me:sesame@',
    ]) {
      assert.throws(
        () => parse(url, value),
        ({ message }) => message.includes('must be an http:// URL') && !/ses|a@me/.test(message),
      );
    }
    refuses(() => parse(url, 'ftp://server/a:b@c'), /but is 'ftp:\/\/server\/a:b@c'/);
    refuses(() => parse(text('', { secret: true, rule }), 'sesame'), /but is '\*\*\*'/);
  });
});
