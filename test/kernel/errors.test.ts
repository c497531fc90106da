import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  type ErrorCode,
  fromErrorBody,
  IngotError,
  toErrorBody,
  toIngotError,
} from '../../src/kernel/errors.ts';

const code = fc.constantFrom<ErrorCode>('SYS.1000', 'SYS.1007', 'BS.1006', 'ID.1001', 'IMG.1002');
const { error } = fc.letrec<{ error: IngotError }>((tie) => ({
  error: fc
    .record(
      {
        code,
        details: fc.string(),
        elaboration: fc.string(),
        opaque: fc.dictionary(
          fc.string().filter((key) => key !== '__proto__'),
          fc.oneof(fc.string(), fc.integer()),
          { noNullPrototype: true },
        ),
        cause: tie('error'),
        causes: fc.array(tie('error'), { minLength: 1, maxLength: 3 }),
      },
      { requiredKeys: ['code', 'details'] },
    )
    .map(({ code, details, ...options }) => new IngotError(code, details, options)),
}));

describe('an error', () => {
  it('survives being kept as JSON, with its causes', () => {
    fc.assert(
      fc.property(error, (one) => {
        const body = one.toBody();
        const kept = JSON.parse(JSON.stringify(body));
        assert.deepEqual(fromErrorBody(kept).toBody(), body);
      }),
      { numRuns: 50 },
    );
  });

  it("has its code's fixed text and no members without a value", () => {
    assert.deepEqual(new IngotError('SYS.1007', "'name' is required").toBody(), {
      code: 'SYS.1007',
      description: 'An argument is not valid',
      details: "'name' is required",
    });
  });

  it('with a code that this version does not know becomes an internal one', () => {
    const read = fromErrorBody({ code: 'PS.9999', description: 'from the future', details: 'what was said' });
    assert.equal(read.code, 'SYS.1000');
    assert.equal(read.details, 'what was said');
    assert.equal(fromErrorBody({ code: 'toString', description: '', details: 'x' }).code, 'SYS.1000');
  });

  it('of the operating system keeps its errno, and says whether trying again can help', async () => {
    const thrown = await readFile('/nonexistent/file').catch((error) => error);
    const made = toIngotError(thrown);
    assert.equal(made.code, 'SYS.1016');
    assert.match(made.details, /^ENOENT: .*\/nonexistent\/file/);
    assert.equal(made.retryable, false);
    assert.equal(toIngotError(Object.assign(new Error('full'), { code: 'ENOSPC' })).retryable, true);
  });

  it('is made of whatever was thrown', () => {
    const own = new IngotError('BS.1006', 'full');
    assert.equal(toIngotError(own), own);
    assert.equal(toErrorBody(new TypeError('x is not a function')).code, 'SYS.1000');
    assert.equal(toIngotError('just text').details, 'just text');
    assert.equal(toIngotError(undefined).details, 'undefined');
    assert.equal(toIngotError(new Error('')).details, 'unknown error');
  });
});
