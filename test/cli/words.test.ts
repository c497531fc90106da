import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { quoteWord, splitAssignment, splitLine } from '../../src/cli/words.ts';

describe('lines of the shell', () => {
  for (const [line, words] of [
    ['', []],
    ['   ', []],
    ['# a comment', []],
    ['QueryImage # a comment', ['QueryImage']],
    ['AddImage url=http://x/#top', ['AddImage', 'url=http://x/#top']],
    ['a  b\tc', ['a', 'b', 'c']],
    [`name='two words' x`, ['name=two words', 'x']],
    [`name="it's" y`, ["name=it's", 'y']],
    ['name="a \\"b\\" \\\\ \\n"', ['name=a "b" \\ \\n']],
    ["name='a\\b'", ['name=a\\b']],
    ['name=two\\ words', ['name=two words']],
    [`name=''`, ['name=']],
    [`''`, ['']],
    ['size>10G name~=x', ['size>10G', 'name~=x']],
  ] as const) {
    it(`splits ${JSON.stringify(line)}`, () => assert.deepEqual(splitLine(line), words));
  }

  it('says where an unbalanced quote stands', () => {
    assert.throws(() => splitLine(`name='x`), /quote ' at position 6 is not closed/);
    assert.throws(() => splitLine(`a "b`), /quote " at position 3 is not closed/);
    assert.throws(() => splitLine('a\\'), /backslash at position 2/);
  });

  it('reads back whatever was quoted', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), (words) => {
        assert.deepEqual(splitLine(words.map(quoteWord).join(' ')), words);
      }),
    );
  });

  it('quotes as a POSIX shell reads it', () => {
    const words = [
      'plain',
      'two words',
      "it's",
      '$HOME',
      '`id`',
      'size>10G',
      'a\\b',
      '"',
      '*',
      '',
      '中 文',
      '~',
    ];
    const { stdout } = spawnSync('sh', ['-c', `printf '%s\\0' ${words.map(quoteWord).join(' ')}`], {
      encoding: 'utf8',
    });
    assert.deepEqual(stdout.split('\0').slice(0, -1), words);
  });

  it('takes assignments apart at the first =', () => {
    assert.deepEqual(splitAssignment('url=http://x/?a=b'), ['url', 'http://x/?a=b']);
    assert.deepEqual(splitAssignment('name='), ['name', '']);
    assert.throws(() => splitAssignment('centos'), /'centos' has no '='/);
    assert.throws(() => splitAssignment('=x'), /has no name/);
  });
});
