import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { readConfig } from '../../src/config.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { SecretBox } from '../../src/kernel/secret-box.ts';
import { parseSecretKey, secretBoxOf } from '../../src/secret-key.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const box = (byte: number) => new SecretBox(() => Buffer.alloc(32, byte));

describe('a secret box', () => {
  it('gives back what was sealed, never twice in the same form', () => {
    for (const text of ['', 'pass', '口令 ü\n'.repeat(500)]) {
      const kept = box(1).seal(text, 'storage a');
      assert.notEqual(kept, box(1).seal(text, 'storage a'));
      if (text !== '') assert.ok(!Buffer.from(kept.split(':')[1] ?? '', 'base64').includes(text));
      assert.equal(box(1).open(kept, 'storage a'), text);
    }
  });

  it('opens nothing of another owner or key, nor what was changed', () => {
    const kept = box(1).seal('pass', 'storage a');
    const damaged = Buffer.from(kept.split(':')[1] ?? '', 'base64');
    damaged[14] = (damaged[14] ?? 0) ^ 1;
    for (const open of [
      () => box(1).open(kept, 'storage b'),
      () => box(2).open(kept, 'storage a'),
      () => box(1).open(`aes-256-gcm:${damaged.toString('base64')}`, 'storage a'),
      () => box(1).open('pass', 'storage a'),
      () => new SecretBox(() => undefined).open(kept, 'storage a'),
    ]) {
      assert.throws(open, (error) => {
        assert.ok(error instanceof IngotError);
        assert.match(error.details, /the secrets of storage [ab] can't be read with this key/);
        assert.doesNotMatch(JSON.stringify(error.toBody()), /pass/);
        return true;
      });
    }
  });

  it('has its key in a file of its owner, made with the first secret, or in the environment', () => {
    const config = (environment: NodeJS.ProcessEnv, data = temporaryDirectory()) =>
      readConfig(['--data', data], environment);
    const mine = config({});
    const file = mine.data.secretKeyFile;
    assert.throws(() => secretBoxOf(mine).open(box(1).seal('x', 'a'), 'a'), IngotError);
    assert.equal(existsSync(file), false);
    const kept = secretBoxOf(mine).seal('pass', 'a');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(secretBoxOf(mine).open(kept, 'a'), 'pass');
    const elsewhere = config({ INGOT_SECRET_KEY: readFileSync(file, 'utf8').trim() });
    assert.equal(secretBoxOf(elsewhere).open(kept, 'a'), 'pass');
    secretBoxOf(elsewhere).seal('pass', 'a');
    assert.equal(existsSync(elsewhere.data.secretKeyFile), false);
    const base64 = Buffer.from(readFileSync(file, 'utf8').trim(), 'hex').toString('base64');
    assert.equal(secretBoxOf(config({ INGOT_SECRET_KEY: base64 })).open(kept, 'a'), 'pass');
  });

  it('refuses keys that are none, without repeating them', () => {
    for (const text of ['hunter2', 'ab'.repeat(31), '']) {
      assert.throws(
        () => parseSecretKey(text),
        (error) => {
          assert.ok(error instanceof IngotError && error.code === 'SYS.1007');
          assert.doesNotMatch(JSON.stringify(error.toBody()), /hunter2|abab/);
          return true;
        },
      );
    }
    const { data } = readConfig(['--data', temporaryDirectory()], {});
    writeFileSync(data.secretKeyFile, 'not a key\n');
    assert.throws(() => secretBoxOf({ data, secretKey: '' }).seal('x', 'a'), IngotError);
  });
});
