import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { didYouMean, nearest } from '../../src/kernel/nearest.ts';

const FIELDS = ['uuid', 'name', 'description', 'createDate', 'backupStorageRefs', 'mediaType', 'size'];

describe('the name that was meant', () => {
  it('is found past a slip of any kind', () => {
    const slips: [string, string][] = [
      ['nmae', 'name'],
      ['nam', 'name'],
      ['names', 'name'],
      ['nane', 'name'],
      ['NAME', 'name'],
      ['createdate', 'createDate'],
      ['desc', 'description'],
      ['backupStorageRef', 'backupStorageRefs'],
      ['mediatyp', 'mediaType'],
      ['uiud', 'uuid'],
    ];
    for (const [typed, meant] of slips) assert.equal(nearest(typed, FIELDS), meant, typed);
  });

  it('is the nearest of several', () => {
    assert.equal(nearest('sizee', ['seizer', 'size', 'sie']), 'size');
    assert.equal(nearest('name', ['Name', 'nam']), 'Name');
  });

  it('is none where it is another word', () => {
    for (const typed of ['colour', 'xyz', 'backupStorageUuidOfSomethingElse']) {
      assert.equal(nearest(typed, FIELDS), undefined, typed);
    }
    assert.equal(nearest('name', []), undefined);
    assert.equal(nearest('name'.repeat(1_000_000), FIELDS), undefined);
  });

  it('is said as a question, or nothing is', () => {
    assert.equal(didYouMean('nmae', FIELDS), "; did you mean 'name'?");
    assert.equal(didYouMean('colour', FIELDS), '');
  });
});
