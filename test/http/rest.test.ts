import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { ADMIN_UUID } from '../../src/account/account.ts';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { type HttpAnswer, startTestService, TestClient, type TestService } from '../support/service.ts';

const V1 = '/zstack/v1';

/** An error as every client finds it: one member, with a code and a sentence. */
function assertError(answer: HttpAnswer, status: number, code: string, sentence: RegExp): void {
  assert.equal(answer.status, status, answer.text);
  assert.deepEqual(Object.keys(answer.json), ['error'], answer.text);
  assert.equal(answer.json.error.code, code, answer.text);
  assert.match(answer.json.error.details, sentence);
  assert.equal(typeof answer.json.error.description, 'string');
  assert.equal(answer.headers.get('content-type'), 'application/json;charset=utf-8');
}

describe('the REST wire', () => {
  let service: TestService;
  let client: TestClient;
  let database: Database;
  let zone: string;
  before(async () => {
    service = await startTestService();
    ({ client } = service);
    database = await openDatabase(service.databaseAt);
    zone = (await client.query('Zone'))[0]?.uuid;
    const old = new Date(2015, 5, 1, 18, 17, 48).getTime();
    await database.sql.updateTable('zone').set({ createDate: old, lastOpDate: old }).execute();
  });
  after(async () => {
    await database.close();
    await service.stop();
  });
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    client.http('POST', `${V1}/backup-storage/local`, { body, headers });
  const storage = (more: Record<string, unknown>) => ({ params: { name: 'x', url: 'relative', ...more } });
  const poll = async (answer: HttpAnswer) => {
    assert.equal(answer.status, 202, answer.text);
    const { pathname } = new URL(answer.json.location);
    for (;;) {
      const polled = await client.http('GET', pathname);
      if (polled.status !== 202) return polled;
      assert.equal(polled.text, '{}');
    }
  };

  describe('answers an asynchronous call', () => {
    it('with where to poll, and the poll with the answer, as often as it is asked', async () => {
      const [store] = await client.query('BackupStorage');
      const answer = await client.http('PUT', `${V1}/backup-storage/${store?.uuid}/actions`, {
        body: { changeBackupStorageState: { stateEvent: 'enable' } },
      });
      assert.equal(answer.status, 202);
      assert.deepEqual(Object.keys(answer.json).sort(), ['apiTimeout', 'location']);
      assert.match(answer.json.location, /^http:\/\/127\.0\.0\.1:\d+\/zstack\/v1\/api-jobs\/[0-9a-f]{32}$/);
      assert.ok(answer.json.location.startsWith(service.address));
      for (let i = 0; i < 3; i++) {
        const polled = await poll(answer);
        assert.equal(polled.status, 200);
        assert.deepEqual(Object.keys(polled.json), ['inventory']);
        assert.match(
          polled.json.inventory.lastOpDate,
          /^[A-Z][a-z]{2} \d{1,2}, \d{4} \d{1,2}:\d\d:\d\d [AP]M$/,
        );
      }
    });

    it("with the call's own mistakes at the poll, as ZStack's clients expect them", async () => {
      const cases: [body: unknown, code: string, sentence: RegExp][] = [
        [
          storage({}),
          'SYS.1007',
          /^'url' must be an absolute path such as \/srv\/images, but is 'relative'$/,
        ],
        [{ params: { url: '/srv/x' } }, 'SYS.1007', /^'name' is required/],
        [storage({ nmae: 'y' }), 'SYS.1007', /has no parameter 'nmae'; did you mean 'name'/],
        [storage({ name: 5 }), 'SYS.1007', /^'name' must be text, but is 5$/],
        [{}, 'SYS.1007', /^'name' is required/],
        [undefined, 'SYS.1007', /^'name' is required/],
      ];
      for (const [body, code, sentence] of cases)
        assertError(await poll(await post(body)), 503, code, sentence);
    });

    it('that deletes what is not there with success, if it could be there', async () => {
      for (const path of ['images', 'backup-storage']) {
        const polled = await poll(await client.http('DELETE', `${V1}/${path}/${newUuid()}`));
        assert.equal(polled.status, 200);
        assert.equal(polled.text, '{}');
      }
      const malformed = await poll(await client.http('DELETE', `${V1}/images/no-uuid`));
      assertError(malformed, 503, 'SYS.1007', /^'uuid' must be a v4 uuid/);
    });

    it('under the uuid that the client chose, once', async () => {
      const id = newUuid();
      const first = await post(storage({}), { 'x-job-uuid': id });
      assert.ok(first.json.location.endsWith(`/${id}`));
      assertError(await post(storage({}), { 'x-job-uuid': id }), 400, 'SYS.1007', /has been used already/);
      for (const bad of ['short', `${id}0`, `${id.slice(1)}-`]) {
        assertError(
          await post(storage({}), { 'x-job-uuid': bad }),
          400,
          'SYS.1007',
          /X-Job-UUID must have 32/,
        );
      }
      const [uuid] = (await client.query('BackupStorage')).map((store) => store.uuid);
      const change = { changeBackupStorageState: { stateEvent: 'enable' } };
      const twin = newUuid();
      const path = `${V1}/backup-storage/${uuid}/actions`;
      const twins = await Promise.all(
        [1, 2, 3].map(() => client.http('PUT', path, { body: change, headers: { 'x-job-uuid': twin } })),
      );
      assert.deepEqual(twins.map((answer) => answer.status).sort(), [202, 400, 400]);
      const accepted = twins.find((answer) => answer.status === 202) as HttpAnswer;
      assert.equal((await poll(accepted)).status, 200);
    });

    it('that nobody made with 404', async () => {
      for (const id of [newUuid(), 'x', 'a%00b', encodeURIComponent("' or 1=1")]) {
        assertError(await client.http('GET', `${V1}/api-jobs/${id}`), 404, 'SYS.1003', /there is no job/);
      }
    });

    it('to whoever polls, without a session', async () => {
      const answer = await post(storage({}));
      const stranger = await fetch(answer.json.location);
      assert.equal(stranger.status, 503);
      const withNull = await fetch(answer.json.location, { headers: { authorization: 'OAuth null' } });
      assert.equal(withNull.status, 503);
    });
  });

  describe('takes a body', () => {
    it('with tags inside, beside or both', async () => {
      const tags = { systemTags: ['a::b'], userTags: ['x'] };
      for (const body of [
        { ...storage({}), ...tags },
        storage(tags),
        { ...storage({ ...tags, session: {}, null: 1 }), ...tags },
        { ...tags, params: { name: 'x', url: 'relative' } },
      ]) {
        assertError(await poll(await post(body)), 503, 'SYS.1007', /absolute path/);
      }
    });

    it('whose path is right, whatever it says itself', async () => {
      const [store] = await client.query('BackupStorage');
      const body = { changeBackupStorageState: { stateEvent: 'enable', uuid: newUuid() } };
      const polled = await poll(
        await client.http('PUT', `${V1}/backup-storage/${store?.uuid}/actions`, { body }),
      );
      assert.equal(polled.json.inventory.uuid, store?.uuid);
    });

    it('that is empty, whatever content type it claims', async () => {
      const answer = await client.http('GET', `${V1}/zones`, {
        headers: { 'content-type': 'application/json' },
      });
      assert.equal(answer.status, 200);
      const deleted = await client.http('DELETE', `${V1}/images/${newUuid()}`, {
        headers: { 'content-type': 'application/json' },
        body: '',
      });
      assert.equal(deleted.status, 202);
    });

    it('of any content type, as JSON', async () => {
      for (const type of [
        'text/plain',
        'application/x-www-form-urlencoded',
        'application/json;charset=UTF-8',
      ]) {
        assert.equal((await post(storage({}), { 'content-type': type })).status, 202);
      }
    });

    it('and refuses one of the wrong shape at once', async () => {
      const wrong: [body: unknown, status: number, sentence: RegExp][] = [
        ['{"params":', 400, /^the body is not JSON: /],
        ['nonsense', 400, /^the body is not JSON: /],
        [[1], 400, /is not a JSON object; it should be \{"params":\{…\}\}$/],
        ['"text"', 400, /is not a JSON object/],
        [{ name: 'x' }, 400, /has no member 'params', but 'name'; it should be/],
        [{ params: [] }, 400, /has 'params' that is not an object/],
        [`{"params":{"name":"${'x'.repeat(1_100_000)}"}}`, 413, /too large/],
      ];
      for (const [body, status, sentence] of wrong)
        assertError(await post(body), status, 'SYS.1007', sentence);
      const path = `${V1}/images/${newUuid()}/actions`;
      for (const body of [{ updateImge: {} }, {}, [], undefined]) {
        const answer = await client.http('PUT', path, { body });
        assertError(answer, 400, 'SYS.1007', /names no action of this path; known are .*updateImage/);
      }
      const near = await client.http('PUT', path, { body: { updateImge: {} } });
      assert.match(near.json.error.details, /Did you mean 'updateImage'\?$/);
    });
  });

  describe('answers a query', () => {
    const get = (path: string) => client.http('GET', `${V1}${path}`);

    it('with inventories, a schema, and dates as in 2015', async () => {
      const answer = await get('/zones');
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.json, {
        inventories: [
          {
            uuid: zone,
            name: 'default',
            description: 'The zone that is there from the start',
            state: 'Enabled',
            type: 'zstack',
            isDefault: true,
            createDate: 'Jun 1, 2015 6:17:48 PM',
            lastOpDate: 'Jun 1, 2015 6:17:48 PM',
          },
        ],
        schema: {},
      });
    });

    it('by uuid with a list, empty where there is none, whatever else is asked', async () => {
      const found = await get(`/zones/${zone}?q=name=other&limit=0`);
      assert.equal(found.json.inventories.length, 1);
      for (const uuid of [newUuid(), 'no-uuid', 'a b']) {
        const none = await get(`/zones/${encodeURIComponent(uuid)}`);
        assert.equal(none.status, 200);
        assert.deepEqual(none.json.inventories, []);
      }
    });

    it('with all its spellings: repeated conditions, sort, fields, pages, counts', async () => {
      assert.equal((await get('/zones?q=name=DEFAULT&q=isDefault=true')).json.inventories.length, 1);
      assert.equal((await get('/zones?q=name=default&q=isDefault=false')).json.inventories.length, 0);
      assert.equal(
        (await get(`/zones?q=${encodeURIComponent('description is null')}`)).json.inventories.length,
        0,
      );
      assert.equal((await get(`/zones?q=uuid?=${zone},${newUuid()}`)).json.inventories.length, 1);
      assert.equal((await get(`/zones?q=${encodeURIComponent('name~=def%')}`)).json.inventories.length, 1);
      for (const sort of ['name', '+name', '%2Bname', '-name']) {
        assert.equal((await get(`/zones?sort=${sort}`)).status, 200, sort);
      }
      assert.deepEqual((await get('/zones?fields=name,%20uuid&groupBy=x&filterName=a:b')).json.inventories, [
        { name: 'default', uuid: zone },
      ]);
      const counted = (await get('/zones?count=true&limit=5')).json;
      assert.deepEqual(counted, { total: 1, schema: {} });
      const both = (await get('/zones?replyWithCount=true&limit=0')).json;
      assert.deepEqual(both, { inventories: [], total: 1, schema: {} });
      const uuids = Array.from({ length: 1500 }, newUuid).join(',');
      assert.equal((await get(`/zones?q=uuid?=${uuids},${zone}`)).json.inventories.length, 1);
    });

    it('that makes no sense with what is wrong, and the nearest that does', async () => {
      const wrong: [query: string, sentence: RegExp][] = [
        ['q=nmae=x', /Zone has no field 'nmae'; did you mean 'name'/],
        ['q=name', /an operator such as/],
        ['sort=nmae', /'sortBy' takes .* did you mean 'name'/],
        ['fields=nmae', /'fields' takes .* did you mean 'name'/],
        [
          'limt=5',
          /QueryZone has no parameter 'limt'; did you mean 'limit'\? \(conditions are given as q=limt=…\)/,
        ],
        ['name=default', /conditions are given as q=name=…/],
        ['limit=many', /'limit' must be a whole number, but is 'many'/],
        ['limit=-1', /'limit' must be from 0 to 100000/],
        ['count=maybe', /'count' must be true or false/],
        ['q=name%00=x', /an operator such as/],
        ['q=name=a%00b', /text without NUL characters/],
      ];
      for (const [query, sentence] of wrong) {
        const answer = await get(`/zones?${query}`);
        assert.ok([400, 503].includes(answer.status));
        assertError(answer, answer.status, 'SYS.1007', sentence);
      }
    });

    it('takes lists in query strings as repeated keys, with numbers or with commas', async () => {
      const [store] = await client.query('BackupStorage');
      const other = newUuid();
      for (const query of [
        `backupStorageUuids=${store?.uuid}&backupStorageUuids=${other}`,
        `backupStorageUuids.0=${store?.uuid}&backupStorageUuids.1=${other}`,
        `backupStorageUuids=${store?.uuid},${other}`,
        `zoneUuids=${zone}`,
        'all=true',
      ]) {
        const answer = await get(`/backup-storage/capacities?${query}`);
        assert.deepEqual(
          answer.json,
          { totalCapacity: store?.totalCapacity, availableCapacity: store?.availableCapacity },
          query,
        );
      }
      assertError(await get('/backup-storage/capacities'), 503, 'SYS.1007', /say whose capacity/);
    });
  });

  describe('knows its paths', () => {
    it('and says what else is possible on one', async () => {
      const answer = await client.http('DELETE', `${V1}/images`);
      assertError(answer, 405, 'SYS.1008', /^DELETE is not possible here; POST, GET is$|GET, POST is$/);
      assert.deepEqual(answer.headers.get('allow')?.split(', ').sort(), ['GET', 'POST']);
    });

    it('and that others lead nowhere', async () => {
      assertError(await client.http('GET', `${V1}/imags`), 404, 'SYS.1008', /nothing at \/zstack\/v1\/imags/);
      assertError(await client.http('GET', '/'), 404, 'SYS.1008', /nothing at \//);
      assertError(await client.http('GET', `${V1}/images/%zz`), 400, 'SYS.1007', /not a valid url/i);
      assertError(await client.http('GET', `${V1}/zones/${'x'.repeat(500)}`), 414, 'SYS.1007', /./);
      assert.equal((await client.http('GET', `${V1}/zones/`)).status, 200);
    });
  });

  describe('asks who calls', () => {
    const as = (authorization: string | undefined, method = 'GET', path = '/zones', body?: unknown) => {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      return fetch(`${service.address}${V1}${path}`, {
        method,
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
    };
    const errorOf = async (response: Response) => {
      const { error } = (await response.json()) as { error: { code: string; details: string } };
      return [response.status, error.code, error.details];
    };

    it('and refuses a call without a session at once', async () => {
      assert.deepEqual((await errorOf(await as(undefined))).slice(0, 2), [400, 'ID.1001']);
      assert.deepEqual((await errorOf(await as('Basic eDp5'))).slice(0, 2), [400, 'ID.1001']);
      assert.deepEqual((await errorOf(await as(undefined, 'POST', '/images', {}))).slice(0, 2), [
        400,
        'ID.1001',
      ]);
    });

    it('and tells of a session that is none, or no longer one, in the words that clients look for', async () => {
      const expired = [503, 'ID.1001', 'Session expired'];
      assert.deepEqual(await errorOf(await as(`OAuth ${newUuid()}`)), expired);
      const accepted = await as(`OAuth ${newUuid()}`, 'POST', '/images', { params: {} });
      assert.equal(accepted.status, 202);
      const { location } = (await accepted.json()) as { location: string };
      assert.deepEqual(await errorOf(await fetch(location)), expired);

      const session = client.session ?? '';
      assert.equal((await as(`OAuth  ${session} `)).status, 200);
      const own = await database.sql.selectFrom('session').selectAll().execute();
      await database.sql
        .updateTable('session')
        .set({ expiredDate: Date.now() - 1 })
        .execute();
      assert.deepEqual(await errorOf(await as(`OAuth ${session}`)), expired);
      for (const row of own) {
        const { digest, expiredDate } = row;
        await database.sql.updateTable('session').set({ expiredDate }).where('digest', '=', digest).execute();
      }
      assert.equal((await as(`OAuth ${session}`)).status, 200);
    });

    it("and keeps the administrator's calls from others", async () => {
      const account = newUuid();
      await database.sql
        .insertInto('account')
        .expression((from) =>
          from
            .selectFrom('account')
            .select((column) => [
              column.val(account).as('uuid'),
              column.val('somebody').as('name'),
              'description',
              column.val('Normal').as('type'),
              'passwordHash',
              'createDate',
              'lastOpDate',
            ])
            .where('uuid', '=', ADMIN_UUID),
        )
        .columns(['uuid', 'name', 'description', 'type', 'passwordHash', 'createDate', 'lastOpDate'])
        .execute();
      const somebody = new TestClient(service.address);
      await somebody.logIn('somebody', readFileSync(`${service.data}/admin-password`, 'utf8').trim());
      assert.equal((await somebody.query('Zone')).length, 1);
      const denied = { code: 'ID.1002', message: /is for administrators$/ };
      await assert.rejects(somebody.call('AddImage', { name: 'x', url: 'http://127.0.0.1:1/x' }), denied);
      await assert.rejects(somebody.call('DeleteImage', { uuid: newUuid() }), denied);
      await assert.rejects(
        somebody.call('ChangeImageState', { uuid: newUuid(), stateEvent: 'enable' }),
        denied,
      );
      await assert.rejects(somebody.call('AddLocalBackupStorage', { name: 'x', url: '/srv/x' }), denied);
      await assert.rejects(somebody.call('DeleteBackupStorage', { uuid: newUuid() }), denied);
      assert.deepEqual(await client.query('Image'), []);
    });
  });

  it('sends what it says as it is, to be kept by nobody, with the id of the request', async () => {
    const answer = await client.http('GET', `${V1}/zones`, { headers: { 'accept-encoding': 'identity' } });
    assert.equal(answer.headers.get('content-encoding'), null);
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    assert.match(answer.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
    const failed = await client.http('GET', `${V1}/nothing`);
    assert.match(failed.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
    assert.notEqual(failed.headers.get('x-request-id'), answer.headers.get('x-request-id'));
  });

  it('survives a client that leaves in the middle', async () => {
    const { port } = new URL(service.address);
    for (let i = 0; i < 5; i++) {
      const socket = connect(Number(port), '127.0.0.1');
      socket.write(`POST ${V1}/images HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"par`);
      socket.destroy();
    }
    assert.equal((await client.http('GET', '/healthz')).status, 200);
  });
});
