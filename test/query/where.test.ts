import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { IngotError } from '../../src/kernel/errors.ts';
import type { Expression } from '../../src/query/expression.ts';
import { readFilter } from '../../src/query/filter.ts';

/** The expression in short: `(a=1 | !b~x)`. */
function short(expression: Expression): string {
  if (expression.kind === 'not') return `!${short(expression.part)}`;
  if (expression.kind === 'condition') {
    const { name, op, value, values } = expression.condition;
    return `${name} ${op}${values ? ` [${values.join('|')}]` : value === undefined ? '' : ` ${value}`}`;
  }
  return `(${expression.parts.map(short).join(expression.kind === 'all' ? ' & ' : ' | ')})`;
}

const read = (where: string) => short(readFilter([], where));

function refusal(where: string): IngotError {
  try {
    readFilter([], where);
  } catch (error) {
    assert.ok(error instanceof IngotError);
    assert.equal(error.code, 'SYS.1007');
    return error;
  }
  assert.fail(`'${where}' was read`);
}

describe('a where expression', () => {
  it('binds NOT closer than AND, and AND closer than OR', () => {
    assert.equal(read('a=1 or b=2 AND not c=3'), '(a = 1 | (b = 2 & !c = 3))');
    assert.equal(read('(a=1 OR b=2) And NOT (c=3 or d=4)'), '((a = 1 | b = 2) & !(c = 3 | d = 4))');
    assert.equal(read('not not a=1'), '!!a = 1');
    assert.equal(read('NOT(a=1)AND(b=2)'), '(!a = 1 & b = 2)');
    assert.equal(
      read('(name~=centos% OR name~=rocky%) AND size<10G'),
      '((name like centos% | name like rocky%) & size < 10G)',
    );
  });

  it('takes each operator in both spellings', () => {
    for (const [sign, word] of [
      ['a=x', 'a = x'],
      ['a!=x', 'a != x'],
      ['a>1', 'a > 1'],
      ['a>=1', 'a >= 1'],
      ['a<1', 'a < 1'],
      ['a<=1', 'a <= 1'],
      ['a~=x%', 'a LIKE x%'],
      ['a!~=x%', 'a not  like x%'],
      ['a?=x,y', 'a in (\'x\', "y")'],
      ['a!?=x,y', 'a NOT IN(x,y)'],
      ['a=null', 'a is null'],
      ['a!=null', 'a IS  NOT NULL'],
      ['a!=null', 'a not null'],
    ] as const) {
      assert.equal(read(sign), read(word), word);
    }
    assert.equal(read('a.b.__userTag__ ?= x'), 'a.b.__userTag__ in [x]');
  });

  it('takes any value in quotes, and simple ones without', () => {
    assert.equal(read(`a='it''s (here) and "there"'`), `a = it's (here) and "there"`);
    assert.equal(read('a="say ""so"""'), 'a = say "so"');
    assert.equal(read("a=''"), 'a = ');
    assert.equal(read("a='null' and b=nullable"), '(a = null & b = nullable)');
    assert.equal(read("a~='50\\%'"), 'a like 50\\%');
    assert.equal(read("a=O'Brien"), "a = O'Brien");
    assert.equal(read("a in ('x,y', b\\,c, d)"), 'a in [x,y|b,c|d]');
    assert.equal(read('a in ()'), 'a in []');
    assert.equal(
      read("date>'Jan 31, 2026 12:00:00 PM' AND other=1"),
      '(date > Jan 31, 2026 12:00:00 PM & other = 1)',
    );
    assert.equal(read(' notes=1 and order=2 and inner=3 '), '(notes = 1 & order = 2 & inner = 3)');
  });

  it('says exactly where it can not be read', () => {
    for (const [where, position, problem] of [
      ['', 1, 'a field name, NOT or ( is expected here'],
      ['a=1 AND', 8, 'a field name, NOT or ( is expected here'],
      ['a=1 b=2', 5, 'AND, OR or the end is expected here'],
      ['(a=1 OR (b=2)', 1, 'this ( is never closed'],
      ['a=1)', 4, 'this ) closes nothing'],
      ['(a=1 b=2)', 6, 'AND, OR or ) is expected here'],
      ['a=1 AND b', 10, 'an operator such as'],
      ['a ist null', 2, 'an operator such as'],
      ["a='x", 3, "this ' is never closed"],
      ['a=', 3, "a value is expected here; '' is the empty one"],
      ['a=1 OR ()', 9, 'a field name, NOT or ( is expected here'],
      ['a in (1, 2', 6, 'this ( is never closed'],
      ['a in (1 2)', 9, 'a comma or ) is expected here'],
      ['a in (1,)', 9, 'a value is expected here'],
    ] as const) {
      const error = refusal(where);
      assert.equal(error.opaque?.position, position, `${where}: ${error.details}`);
      assert.ok(error.details.includes(`at position ${position}, ${problem}`), error.details);
    }
  });

  it('shows the place in the line, of a long one its surroundings', () => {
    assert.equal(refusal('name=a AND size<').elaboration, 'name=a AND size<\n                ^');
    const long = `${Array.from({ length: 100 }, (_, i) => `name=a${i}`).join(' or ')} ) or x=1`;
    const [line = '', caret = ''] = (refusal(long).elaboration ?? '').split('\n');
    assert.ok(line.length < 125);
    assert.equal(line[caret.length - 1], ')');
  });

  it('has bounds', () => {
    const nested = (depth: number) => `${'('.repeat(depth)}a=1${')'.repeat(depth)}`;
    assert.equal(read(nested(100)), 'a = 1');
    assert.match(refusal(nested(101)).details, /at position 101, more than 100 levels/);
    assert.match(refusal(nested(200_000)).details, /more than 100 levels/);
    assert.match(refusal('not '.repeat(100_000)).details, /more than 100 levels/);
    const many = (count: number) => Array.from({ length: count }, () => 'a=1').join(' or ');
    assert.equal(read(many(10_000)).length, 79_999);
    assert.match(
      refusal(many(10_001)).details,
      /^a query may have at most 10000 conditions, but this one has more$/,
    );
    assert.throws(() => readFilter(Array(6000).fill('a=1'), many(6000)), { code: 'SYS.1007' });
  });
});
