import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findWords } from '../../src/vm/words.ts';

describe('words that a guest is to say', () => {
  for (const [words, text, found] of [
    ['ready', 'not yet\nguest ready now', 'ready'],
    ['port * open', 'port 1\nthe port 22 is open', 'port 22 is open'],
    ['*ready*', 'guest ready', 'ready'],
    ['a*b*a', 'xaxbxbxax', 'axbxbxa'],
    ['a*a', 'a', undefined],
    ['one*two', 'one\ntwo', undefined],
    // Nothing but the star means more than itself.
    ['(a+)+$', 'aaaa', undefined],
    ['[ok] .', '[ok] .', '[ok] .'],
  ] as const) {
    it(`'${words}' in ${JSON.stringify(text)}`, () => assert.equal(findWords(words, text), found));
  }

  it('are looked for in time that grows with the text, whatever both are', () => {
    const text = 'a'.repeat(65_536);
    const begun = performance.now();
    for (const words of [`${'a*'.repeat(500)}b`, `${'a'.repeat(500)}*${'a'.repeat(500)}b`]) {
      assert.equal(findWords(words, text), undefined);
    }
    // A regular expression of such stars would take longer than anybody waits.
    assert.ok(performance.now() - begun < 5000);
  });
});
