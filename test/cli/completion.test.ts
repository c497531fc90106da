import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { messages } from '../../src/catalogue.ts';
import { complete } from '../../src/cli/completion.ts';
import { COMMANDS, commandHelp, generalHelp, messageHelp } from '../../src/cli/help.ts';
import { withoutSecrets } from '../../src/cli/history.ts';
import { inColumns } from '../../src/cli/line-reader.ts';

const tab = (line: string) => complete(messages, ['help', 'history', 'exit'], line);
const candidates = (line: string) => tab(line).candidates;

describe('Tab', () => {
  it('completes calls, by their beginning first', () => {
    assert.deepEqual(tab('UpdateI'), { typed: 'UpdateI', candidates: ['UpdateImage '] });
    assert.deepEqual(candidates('updatei'), ['UpdateImage ']);
    assert.deepEqual(candidates('AddI'), ['AddImage', 'AddImageToBackupStorage']);
    assert.ok(candidates('Add').every((name) => name.startsWith('Add')));
    assert.ok(candidates('Image').includes('QueryImage') && candidates('Image').includes('DeleteImage'));
    assert.deepEqual(candidates('exi'), ['exit ']);
    assert.deepEqual(candidates('help QueryZ'), ['QueryZone ']);
    assert.deepEqual(candidates('Nothing'), []);
    assert.equal(candidates('').length, messages.length + 3);
  });

  it('completes parameters that were not given yet', () => {
    assert.ok(candidates('AddImage ').includes('url='));
    assert.deepEqual(candidates('AddImage na'), ['name=']);
    assert.ok(!candidates('AddImage name=x ').includes('name='));
    assert.deepEqual(candidates('AddImage medi'), ['mediaType=']);
    assert.deepEqual(candidates('AddImage fi'), ['file=']);
  });

  it('completes choices and booleans', () => {
    assert.deepEqual(tab('AddImage format=q'), { typed: 'q', candidates: ['qcow2 '] });
    assert.deepEqual(candidates('AddImage platform='), ['Linux', 'Other', 'Paravirtualization', 'Windows']);
    assert.deepEqual(candidates('AddImage system='), ['false', 'true']);
    assert.deepEqual(candidates('AddImage name='), []);
  });

  it('completes fields of queries, over what leads on, at any depth', () => {
    assert.deepEqual(candidates('QueryImage sta'), ['start=', 'state', 'status']);
    assert.deepEqual(candidates('QueryImage backupStorage.zone.imag'), []);
    assert.deepEqual(candidates('QueryImage backupStorageRef.backupStorage.na'), ['name']);
    assert.deepEqual(candidates('QueryImage backupStorageRef.image.backupStorageRef.installP'), [
      'installPath',
    ]);
    assert.ok(candidates('QueryImage backup').includes('backupStorage.'));
    assert.deepEqual(candidates('QueryImage nowhere.na'), []);
  });

  it('completes operators and values', () => {
    assert.ok(candidates('QueryImage name').includes('name~='));
    assert.ok(candidates('QueryImage size').includes('size>='));
    assert.deepEqual(candidates('QueryImage status=R'), ['Ready ']);
    assert.deepEqual(candidates('QueryImage status?=Ready,Do'), ['Downloading ']);
    assert.deepEqual(candidates('QueryImage system='), ['false', 'true']);
    assert.deepEqual(candidates('QueryImage description='), ['null ']);
    assert.deepEqual(candidates('QueryImage backupStorageRef.status!=Cr'), ['Creating ']);
  });

  it('completes the parameters of queries', () => {
    assert.deepEqual(candidates('QueryImage sortB'), ['sortBy=']);
    assert.deepEqual(candidates('QueryImage sortBy=na'), ['name ']);
    assert.deepEqual(candidates('QueryImage sortDirection='), ['asc', 'desc']);
    assert.deepEqual(tab('QueryImage fields=uuid,na'), { typed: 'na', candidates: ['name'] });
    assert.ok(!candidates('QueryImage fields=uuid,').includes('uuid'));
  });

  it('replaces what ends the line, and breaks at nothing', () => {
    const pieces = fc.constantFrom(
      ...messages.map((message) => message.name),
      ' ',
      '=',
      '.',
      'name',
      'a',
      ',',
      '?=',
      '__proto__',
      'constructor',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(pieces).map((all) => all.join('')),
        ),
        (line) => {
          assert.ok(line.endsWith(tab(line).typed));
        },
      ),
    );
  });

  it('lists side by side in the width there is', () => {
    assert.equal(inColumns(['aa', 'b', 'cc'], 8), 'aa  b\r\ncc');
    assert.equal(inColumns(['a-long-one', 'b'], 4), 'a-long-one\r\nb');
  });
});

describe('help', () => {
  for (const message of messages) {
    it(`of ${message.name} says what it takes`, () => {
      const text = messageHelp(message);
      for (const name of Object.keys(message.parameters)) {
        if (name !== 'conditions') assert.match(text, new RegExp(`^ {2}${name}\\b`, 'm'));
      }
      assert.match(text, new RegExp(`\\n {2}ingot ${message.name}`));
      // An example is one line to copy, however long.
      for (const line of text.split('\n')) assert.ok(line.length <= 110 || line.startsWith('  ingot '), line);
      assert.doesNotMatch(text, /undefined|\[object/);
    });
  }

  it('of everything names every call, command and exit code', () => {
    const text = generalHelp(messages);
    for (const { name } of messages) assert.ok(text.includes(name), name);
    for (const name of Object.keys(COMMANDS)) assert.match(text, new RegExp(`^ {2}${name}`, 'm'));
    assert.match(text, /^ {2}130 /m);
    assert.match(text, /stopped again when the command ends/);
  });

  it('of serve names the settings', () =>
    assert.match(commandHelp('serve'), /--listen HOST:PORT, INGOT_LISTEN/));
});

describe('history', () => {
  it('keeps no secret', () => {
    for (const line of [
      'LogInByAccount accountName=admin password=topsecret',
      "LogInByAccount password='top secret' accountName=admin",
      'LogInByAccount password="top \\" secret" accountName=admin',
      'LogInByAccount "password=topsecret" accountName=admin',
      "LogInByAccount password='topsecret",
      'LogInByAccount password=top\\ secret accountName=admin',
      'AddImage name=x url=https://user:secret@host/x',
    ]) {
      assert.doesNotMatch(withoutSecrets(messages, line), /secret/, line);
    }
    const plain = 'AddImage name=x url=https://host:8080/x';
    assert.equal(withoutSecrets(messages, plain), plain);
  });
});
