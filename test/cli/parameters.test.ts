import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { messages } from '../../src/catalogue.ts';
import { readOptions } from '../../src/cli/options.ts';
import { findMessage, readParameters } from '../../src/cli/parameters.ts';
import { requestFor } from '../../src/client/transport.ts';

const find = (name: string) => findMessage(messages, name, ['serve']);
const query = (...words: string[]) => readParameters(find('QueryImage'), words);

describe('words of a query', () => {
  for (const [word, sent] of [
    ['name=x', 'name=x'],
    ['name!=x', 'name!=x'],
    ['size>10G', 'size>10G'],
    ['size>=10G', 'size>=10G'],
    ['size<1', 'size<1'],
    ['size<=1', 'size<=1'],
    ['name?=a,b', 'name?=a,b'],
    ['name!?=a,b', 'name!?=a,b'],
    ['name~=cent', 'name~=%cent%'],
    ['name~=cent%', 'name~=cent%'],
    ['name~=c_nt', 'name~=c_nt'],
    ['name!~=cent', 'name!~=%cent%'],
    ['description=null', 'description is null'],
    ['description!=null', 'description is not null'],
    ['description=', 'description='],
    ['name=a=b>c', 'name=a=b>c'],
    ['backupStorage.zone.name=default', 'backupStorage.zone.name=default'],
    ['__userTag__=x', '__userTag__=x'],
    ['name=two words', 'name=two words'],
  ] as const) {
    it(`sends ${word} as ${sent}`, () => assert.deepEqual(query(word), { conditions: [sent] }));
  }

  it('keeps its parameters apart', () => {
    assert.deepEqual(
      query(
        'limit=10',
        'start=5',
        'count=true',
        'sortBy=name',
        'sortDirection=desc',
        'fields=uuid,name,',
        'system=true',
      ),
      {
        limit: 10,
        start: 5,
        count: true,
        sortBy: 'name',
        sortDirection: 'desc',
        fields: ['uuid', 'name'],
        conditions: ['system=true'],
      },
    );
    assert.deepEqual(query('replyWithCount=true', 'timeout=100', 'filterName=x'), { replyWithCount: true });
  });

  it('takes a list of conditions', () => {
    const sent = (list: unknown[]) =>
      new URL(requestFor(find('QueryImage'), query(`conditions=${JSON.stringify(list)}`)).path, 'http://x')
        .searchParams;
    const like = { name: 'name', op: 'like', value: 'a%' };
    assert.deepEqual(sent([like, { name: 'size', op: '>', value: 1 }, 'state=Enabled']).getAll('q'), [
      'name~=a%',
      'size>1',
      'state=Enabled',
    ]);
    assert.deepEqual(sent([{ name: 'description', op: 'not null' }]).getAll('q'), [
      'description is not null',
    ]);
    assert.deepEqual(sent([{ name: 'name', op: 'in', value: ['a,b', 'c\\'] }]).getAll('q'), [
      'name?=a\\,b,c\\\\',
    ]);
    assert.throws(
      () => sent([{ name: 'name', op: '=' }]),
      /the condition on 'name' with '=' needs a 'value'/,
    );
    assert.throws(() => sent([{ name: 'name', op: 'lik', value: 'x' }]), /did you mean 'like'/);
    assert.throws(() => sent([5]), /the condition '5' can't be read/);
    assert.throws(() => query('conditions=x'), /must be a JSON list/);
  });

  it('names what it can not read', () => {
    assert.throws(() => query('centos'), /'centos' is neither a condition nor a parameter of QueryImage/);
    assert.throws(() => query('limit=many'), /'limit' must be a whole number/);
  });

  it('travels in the query string', () => {
    const words = ['name~=c', 'size>1', 'limit=2', 'sortBy=size,-name', 'sortDirection=desc', 'fields=a,b'];
    const url = new URL(requestFor(find('QueryImage'), query(...words)).path, 'http://x');
    assert.equal(url.pathname, '/v1/images');
    assert.equal(url.searchParams.get('sort'), '-size,-name');
    assert.equal(url.searchParams.get('fields'), 'a,b');
    assert.deepEqual(url.searchParams.getAll('q'), ['name~=%c%', 'size>1']);
    assert.equal(url.searchParams.get('limit'), '2');
  });
});

describe('words of a call', () => {
  it('become values of their kinds', () => {
    const uuid = '7f0f1a3c9f3b4a0c8d1e2b3c4d5e6f70';
    assert.deepEqual(
      readParameters(find('AddImage'), [
        'name=a',
        'url=http://x/y',
        'system=true',
        `backupStorageUuids=${uuid},${uuid}`,
      ]),
      { name: 'a', url: 'http://x/y', system: true, backupStorageUuids: [uuid, uuid] },
    );
  });

  it('are checked before anything is sent', () => {
    const add = (...words: string[]) => readParameters(find('AddImage'), words);
    assert.throws(() => add('name=a'), /'url' is required/);
    assert.throws(() => add('nam=a'), /no parameter 'nam'; did you mean 'name'/);
    assert.throws(() => add('name'), /'name' has no '='/);
    assert.throws(() => add('name=a', 'name=b'), /'name' is given twice/);
    assert.throws(() => add('name=a', 'url=gopher://x'), /must be an http/);
  });

  it('hash the password', () => {
    const { password } = readParameters(find('LogInByAccount'), ['accountName=admin', 'password=password']);
    assert.match(String(password), /^b109f3bbbc244eb82441917ed06d618b9008dd09b3befd1b/);
  });

  it('name the nearest call', () => {
    assert.throws(() => find('AddImag'), /did you mean 'AddImage'/);
    assert.throws(() => find('sreve'), /did you mean 'serve'/);
  });

  it('go into the path and the body that the route says', () => {
    const sent = (name: string, parameters: Record<string, unknown>) => {
      const { method, path, body } = requestFor(find(name), parameters);
      return [`${method} ${path}`, body === undefined ? undefined : JSON.parse(body)];
    };
    assert.deepEqual(sent('UpdateImage', { uuid: 'u', name: 'n' }), ['PATCH /v1/images/u', { name: 'n' }]);
    assert.deepEqual(sent('DeleteImage', { uuid: 'u', backupStorageUuids: ['a', 'b'] }), [
      'DELETE /v1/images/u?backupStorageUuids=a&backupStorageUuids=b',
      undefined,
    ]);
    assert.deepEqual(sent('AddImage', { name: 'n' }), ['POST /v1/images', { name: 'n' }]);
  });
});

describe('options', () => {
  it('stand before or behind the call', () => {
    const { options, rest } = readOptions([
      '--json',
      'QueryImage',
      '--server',
      'http://x',
      'name=a',
      '--data=/d',
      '-h',
    ]);
    assert.deepEqual(rest, ['QueryImage', 'name=a']);
    assert.deepEqual(
      [options.json, options.server, options.data, options.help],
      [true, 'http://x', '/d', true],
    );
  });

  it('are refused where they are wrong', () => {
    assert.throws(() => readOptions(['--jsn']), /no option '--jsn'; did you mean '--json'/);
    assert.throws(() => readOptions(['--server']), /--server needs a value: --server URL/);
    assert.throws(() => readOptions(['--json=1']), /takes no value/);
  });
});
