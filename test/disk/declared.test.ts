import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkDeclaredFormat } from '../../src/disk/declared.ts';
import type { DiskFacts } from '../../src/disk/facts.ts';

const sizes = { virtualSize: 1 << 20, fileSize: 1 << 20 };
const qcow2: DiskFacts = {
  ...sizes,
  format: 'qcow2',
  version: 3,
  clusterSize: 65536,
  compression: 'zlib',
  extendedL2: false,
  lazyRefcounts: false,
  snapshots: 0,
  bitmaps: 0,
};
const raw: DiskFacts = { ...sizes, format: 'raw', contents: 'gpt', recognised: true };
const blank: DiskFacts = { ...sizes, format: 'raw', contents: 'unknown', recognised: false };
const iso: DiskFacts = { ...sizes, format: 'iso', label: 'X', bootable: true, udf: false };

test('a declaration that the bytes bear out is accepted', () => {
  checkDeclaredFormat('qcow2', qcow2);
  checkDeclaredFormat('raw', raw);
  checkDeclaredFormat('raw', blank);
  checkDeclaredFormat('iso', iso);
});

test('without a declaration the bytes decide', () => {
  for (const facts of [qcow2, raw, iso]) {
    checkDeclaredFormat(undefined, facts);
    checkDeclaredFormat('', facts);
  }
});

test('a disk that shows nothing known has to be declared', () => {
  const error = { code: 'IMG.1002', message: /was not given.*format=raw$/ };
  assert.throws(() => checkDeclaredFormat(undefined, blank), error);
  assert.throws(() => checkDeclaredFormat('', blank), error);
});

test('another format than declared is refused, and both are named', () => {
  const cases: [string, DiskFacts, RegExp][] = [
    ['qcow2', raw, /declared to be qcow2, but its bytes are raw \(gpt\)/],
    ['qcow2', blank, /declared to be qcow2, but its bytes are raw, with nothing known/],
    ['raw', qcow2, /declared to be raw, but its bytes are qcow2 \(version 3\)/],
    ['raw', iso, /declared to be raw, but its bytes are iso/],
    ['iso', raw, /declared to be iso, but its bytes are raw/],
  ];
  for (const [declared, facts, message] of cases) {
    assert.throws(() => checkDeclaredFormat(declared, facts), { code: 'IMG.1002', message });
  }
});

test('a format that can not be held is an argument that is not valid', () => {
  for (const declared of ['vmdk', 'QCOW2', 'simulator']) {
    assert.throws(() => checkDeclaredFormat(declared, qcow2), {
      code: 'SYS.1007',
      message: /qcow2, raw, iso/,
    });
  }
});
