import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect, refusedWith } from './workbench.ts';

/** An encoded text, with the rest of a page behind it. */
const page = (text: string) => Buffer.from(`${text}\n${'<p>more of it</p>\n'.repeat(400)}`);

describe('text is refused', () => {
  const cases: [string, Buffer, string, RegExp][] = [
    [
      'a page',
      page('<!DOCTYPE html><html><head><title>404 Not Found</title>'),
      'html',
      /web page with the title "404 Not Found"/,
    ],
    ['a page without a title', Buffer.from('<html></html>'), 'html', /looks like a web page, not/],
    [
      'a page behind a BOM and white space',
      page('\uFEFF \r\n\t<HTML lang="en"><TITLE>Log in</TITLE>'),
      'html',
      /"Log in"/,
    ],
    [
      'XHTML behind comments',
      page('<?xml version="1.0"?>\n<!-- a --><!-- b -->\n<!doctype html><title>x</title>'),
      'html',
      /"x"/,
    ],
    [
      'a page in UTF-16',
      Buffer.from('\uFEFF<html><title>Sign in</title></html>', 'utf16le'),
      'html',
      /"Sign in"/,
    ],
    [
      'a title over lines, with marks',
      page('<html><title>\n  A &amp; B\u0007\u202e \n "c"</title>'),
      'html',
      /"A & B 'c'"/,
    ],
    [
      'a title that goes on and on',
      page(`<html><title>${'long '.repeat(100)}</title>`),
      'html',
      /"(long )+long…"/,
    ],
    [
      'a page in GBK',
      Buffer.concat([
        Buffer.from('<html><meta charset="gbk"><title>'),
        Buffer.from([0xb5, 0xc7, 0xc2, 0xbc]),
        Buffer.from('</title>'),
      ]),
      'html',
      /"登录"/,
    ],
    [
      'an S3 error',
      Buffer.from('<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>No such key</Message></Error>'),
      'xml',
      /"NoSuchKey No such key"/,
    ],
    [
      'XML without its first line',
      page('<Envelope xmlns="x"><References/></Envelope>'),
      'xml',
      /XML document/,
    ],
    [
      'JSON',
      Buffer.from('{"error": "no such file"}'),
      'json',
      /JSON document: "\{'error': 'no such file'\}"/,
    ],
    ['a list of checksums', page('d41d8cd9  image.qcow2'), 'text', /text file: "d41d8cd9 image.qcow2/],
    ['a sentence', Buffer.from('Not found'), 'text', /text file: "Not found"/],
    ['Chinese, cut within a character', Buffer.from(`x\n${'镜像'.repeat(3000)}`), 'text', /text file/],
  ];
  for (const [name, bytes, found, sentence] of cases) {
    test(name, () => {
      const refused = refusedWith(bytes);
      assert.equal(refused.found, found);
      assert.match(refused.details, sentence);
      assert.doesNotMatch(refused.details, /\p{Cc}|\p{Cf}/u);
      assert.ok(refused.details.length < 400);
    });
  }

  test('in bounded time, also when it is made to be slow to read', () => {
    for (const unit of ['<!-- -->', '<', '<?x>', '<title', '<!doctype ', '&amp', '# x\n', '<title>']) {
      refusedWith(Buffer.from(`<a>\n${unit.repeat(50_000)}`));
      refusedWith(Buffer.from(`${unit}\n`.repeat(50_000)));
    }
  });
});

test('a disk filled with one printable byte is no text', () => {
  assert.equal(inspect(Buffer.alloc(1 << 20, 'Z')).format, 'raw');
});

test('a disk whose first sectors hold some text is no text', () => {
  const disk = Buffer.alloc(1 << 20);
  disk.write('a note on this disk\n');
  assert.equal(inspect(disk).format, 'raw');
});
