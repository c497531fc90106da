import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { maskedUrl } from '../../src/kernel/masked-url.ts';

describe('a URL as it may be shown', () => {
  it('is the same to the letter where nothing in it is secret', () => {
    for (const url of [
      'http://server/path/image.qcow2',
      'https://me@Server:8443/a%20b?version=12&name=debian#part',
      'ftp://server/x',
      'just text',
      '',
    ])
      assert.equal(maskedUrl(url), url);
  });

  it('has no password', () => {
    assert.equal(maskedUrl('http://me:secret@server/x'), 'http://me:***@server/x');
    assert.equal(maskedUrl('sftp://me:s%40cret@server:22/x'), 'sftp://me:***@server:22/x');
    assert.equal(maskedUrl('http:/me:secret@ser ver/x').includes('secret'), false);
  });

  it('has nothing with which a presigned URL could be used', () => {
    const amazon =
      'https://bucket.s3.amazonaws.com/disk.qcow2?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260101%2Fus&X-Amz-Date=20260101T000000Z&X-Amz-Security-Token=tok&X-Amz-Signature=abc';
    assert.equal(
      maskedUrl(amazon),
      'https://bucket.s3.amazonaws.com/disk.qcow2?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=***&X-Amz-Date=20260101T000000Z&X-Amz-Security-Token=***&X-Amz-Signature=***',
    );
    assert.equal(maskedUrl('https://a/b?sv=2026&sig=abc%3D&se=2026'), 'https://a/b?sv=2026&sig=***&se=2026');
    assert.equal(maskedUrl('http://me:pw@a/b?access_token=abc'), 'http://me:***@a/b?access_token=***');
    assert.equal(maskedUrl('http://a/b?%74oken=abc;api-key=d'), 'http://a/b?%74oken=***;api-key=***');
  });

  it('never shows the password, whatever it is', () => {
    const secret = fc.string({ minLength: 8, maxLength: 30 }).map((text) => `S3CRET${text}`);
    fc.assert(
      fc.property(secret, fc.constantFrom('http', 'https', 'ftp', 'sftp'), (password, scheme) => {
        const shown = maskedUrl(
          `${scheme}://user:${encodeURIComponent(password)}@host/path?token=${encodeURIComponent(password)}`,
        );
        assert.equal(shown.includes('S3CRET'), false, shown);
      }),
    );
  });
});
