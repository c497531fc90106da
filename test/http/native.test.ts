/** `/v1`: HTTP's own statuses, ISO dates, bodies without wrapping; and what the headers of calls do. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { messages } from '../../src/catalogue.ts';
import { nativeRoute } from '../../src/kernel/native-route.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import {
  startServiceProcess,
  startTestService,
  type TestClient,
  type TestService,
  until,
} from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';

interface Hook {
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

const SPEEDS: Record<string, { bytesPerSecond: number }> = {
  '/slow.qcow2': { bytesPerSecond: 100_000 },
  '/half.qcow2': { bytesPerSecond: 700_000 },
};

describe('/v1', () => {
  let service: TestService;
  let client: TestClient;
  let source: RangeServer;
  const hooks: Hook[] = [];
  let refusals = 0;
  const receiver = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      hooks.push({ headers: request.headers, body });
      response.writeHead(refusals-- > 0 ? 500 : 200).end();
    });
  });
  let hookAddress: string;
  before(async () => {
    await new Promise<void>((resolve) => {
      receiver.listen(0, '127.0.0.1', resolve);
    });
    const { port } = receiver.address() as { port: number };
    hookAddress = `127.0.0.1:${port}`;
    const disk = readFileSync((await smallQcow2()).path);
    source = await startRangeServer({
      files: { '/a.qcow2': disk, '/slow.qcow2': disk, '/half.qcow2': disk },
      fault: ({ path }) => SPEEDS[path],
    });
    service = await startTestService({ settings: { webHookHosts: `example.org, ${hookAddress}` } });
    ({ client } = service);
  });
  after(async () => {
    await service.stop();
    await source.close();
    receiver.close();
  });

  const job = async (path: string) =>
    until('the job to end', async () => {
      const { json } = await client.http('GET', path);
      return json.answer || json.error ? json : undefined;
    });

  it('creates with a job, whose address is in Location', async () => {
    const answer = await client.http('POST', '/v1/images', {
      body: { name: 'a', url: source.url('/a.qcow2') },
    });
    assert.equal(answer.status, 202, answer.text);
    const location = answer.headers.get('location') ?? '';
    assert.equal(location, `/v1/jobs/${answer.json.uuid}`);
    assert.equal(answer.json.message, 'AddImage');
    const ended = await job(location);
    assert.equal(ended.state, 'Succeeded');
    assert.equal(ended.percent, 100);
    assert.match(ended.endDate, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const { inventory } = ended.answer;
    assert.match(inventory.createDate, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

    const one = await client.http('GET', `/v1/images/${inventory.uuid}`);
    assert.deepEqual(one.json.inventory, inventory);
    const list = await client.http('GET', '/v1/images?q=name=a&replyWithCount=true');
    assert.deepEqual(list.json, { inventories: [inventory], total: 1 });
    const changed = await client.http('PATCH', `/v1/images/${inventory.uuid}`, { body: { name: 'b' } });
    assert.equal(changed.status, 200);
    assert.equal(changed.json.inventory.name, 'b');
    const disabled = await client.http('POST', `/v1/images/${inventory.uuid}/change-state`, {
      body: { stateEvent: 'disable' },
    });
    assert.equal(disabled.json.inventory.state, 'Disabled');
    const deleted = await client.http('DELETE', `/v1/images/${inventory.uuid}`);
    await job(deleted.headers.get('location') ?? '');
    assert.equal((await client.http('GET', `/v1/images/${inventory.uuid}`)).status, 404);
  });

  it('has the status that fits', async () => {
    const uuid = newUuid();
    const cases: [method: string, path: string, body: unknown, status: number, code: string][] = [
      ['GET', `/v1/images/${uuid}`, undefined, 404, 'SYS.1003'],
      ['GET', '/v1/images?q=nmae=x', undefined, 400, 'SYS.1007'],
      ['GET', '/v1/images?limit=x', undefined, 400, 'SYS.1007'],
      ['POST', '/v1/images', { name: 'x' }, 400, 'SYS.1007'],
      ['POST', '/v1/images', { nmae: 'x' }, 400, 'SYS.1007'],
      ['POST', '/v1/images', '{"name":', 400, 'SYS.1007'],
      ['POST', '/v1/images', [1], 400, 'SYS.1007'],
      ['PATCH', `/v1/images/${uuid}`, { name: 'x' }, 404, 'SYS.1003'],
      ['GET', '/v1/no-such-thing', undefined, 404, 'SYS.1008'],
      ['DELETE', '/v1/images', undefined, 405, 'SYS.1008'],
      ['GET', `/v1/jobs/${uuid}`, undefined, 404, 'SYS.1003'],
      ['POST', '/v1/longjobs', { jobName: 'APIQueryImageMsg', jobData: '{}' }, 422, 'LONG_JOB.1003'],
    ];
    for (const [method, path, body, status, code] of cases) {
      const answer = await client.http(method, path, { body });
      assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
      assert.deepEqual(Object.keys(answer.json), ['error']);
      assert.equal(answer.json.error.code, code);
    }
    const created = await client.http('POST', '/v1/accounts', {
      body: { name: 'native', password: 'ab'.repeat(64) },
    });
    assert.equal(created.status, 201, created.text);
    for (const headers of [{ authorization: '' }, { authorization: `Bearer ${uuid}` }] as const) {
      const answer = await client.http('GET', '/v1/images', { headers });
      assert.equal(answer.status, 401);
      assert.equal(answer.headers.get('www-authenticate'), 'OAuth');
    }
    const bearer = { authorization: `Bearer ${client.session}` };
    assert.equal((await client.http('GET', '/v1/images', { headers: bearer })).status, 200);
    // A delete of what is not there has nothing to do.
    assert.equal((await client.http('DELETE', `/v1/images/${uuid}`)).status, 200);
  });

  it('has every message once', () => {
    const places = messages.map((message) => {
      const { method, path } = nativeRoute(message);
      return `${method} ${path.replace(/\{\w+\}/g, '{}')}`;
    });
    assert.equal(new Set(places).size, places.length);
    const of = (name: string) => {
      const message = messages.find((each) => each.name === name);
      assert.ok(message);
      const { method, path } = nativeRoute(message);
      return `${method} ${path}`;
    };
    assert.equal(of('UpdateImage'), 'PATCH /images/{uuid}');
    assert.equal(of('CalculateImageHash'), 'POST /images/{uuid}/calculate-hash');
    assert.equal(of('GetVersion'), 'GET /management-nodes/version');
    assert.equal(of('UpdateAccount'), 'PATCH /accounts/{uuid}');
    assert.equal(of('CancelLongJob'), 'POST /longjobs/{uuid}/cancel');
  });

  for (const path of ['/openapi.json', '/v1/openapi.json']) {
    it(`${path} is a valid OpenAPI document, and says all of each parameter`, async () => {
      const { json } = await client.http('GET', path);
      const { valid, errors } = await new Validator().validate(json);
      assert.ok(valid, JSON.stringify(errors, null, 1));
      const ids = Object.values(
        json.paths as Record<string, Record<string, { operationId: string }>>,
      ).flatMap((item) => Object.values(item).map((operation) => operation.operationId));
      assert.equal(new Set(ids).size, ids.length);
      const text = JSON.stringify(json);
      for (const message of messages) {
        for (const [name, field] of Object.entries(message.parameters)) {
          if (name === 'conditions') continue;
          assert.ok(text.includes(`"${name}"`) || message.query, `${message.name}.${name}`);
          assert.ok(field.since, `${message.name}.${name}`);
        }
      }
    });
  }

  it('sends a result to a web hook, again and again until it is taken', async () => {
    refusals = 2;
    const id = newUuid();
    const answer = await client.http('POST', '/zstack/v1/images', {
      body: { params: { name: 'hooked', url: source.url('/a.qcow2') } },
      headers: { 'x-web-hook': `http://${hookAddress}/done`, 'x-job-uuid': id },
    });
    assert.equal(answer.status, 202);
    await until('the hook to be taken', () => hooks.length === 3);
    const [hook] = hooks.slice(-1);
    assert.equal(hook?.headers['x-job-uuid'], id);
    assert.equal(hook?.headers['x-job-success'], 'true');
    assert.match(String(hook?.headers['content-type']), /^application\/json/);
    assert.equal(hook?.body, (await client.http('GET', `/zstack/v1/api-jobs/${id}`)).text);
    const failing = await client.http('DELETE', '/zstack/v1/images/no-uuid', {
      headers: { 'x-web-hook': `http://${hookAddress}/failed` },
    });
    assert.equal(failing.status, 202);
    await until('the second hook', () => hooks.length === 4);
    assert.equal(hooks[3]?.headers['x-job-success'], 'false');
    assert.equal(JSON.parse(hooks[3]?.body ?? '').error.code, 'SYS.1007');
  });

  it('sends it also where the service was killed and started again meanwhile', async () => {
    const before = hooks.length;
    const settings = { webHookHosts: hookAddress };
    const first = await startServiceProcess({ settings });
    const id = newUuid();
    const answer = await first.client.http('POST', '/zstack/v1/images', {
      body: { params: { name: 'survivor', url: source.url('/half.qcow2') } },
      headers: { 'x-web-hook': `http://${hookAddress}/later`, 'x-job-uuid': id },
    });
    assert.equal(answer.status, 202, answer.text);
    await first.kill();
    const second = await startServiceProcess({ data: first.data, settings });
    try {
      await until('the hook', () => hooks.length > before);
      assert.equal(hooks.at(-1)?.headers['x-job-uuid'], id);
      assert.equal(hooks.at(-1)?.headers['x-job-success'], 'true');
    } finally {
      await second.stop();
    }
  });

  it('calls no host that was not allowed', async () => {
    for (const url of ['http://169.254.169.254/', 'file:///etc/passwd', 'nonsense', 'http://127.0.0.1:1/']) {
      const answer = await client.http('DELETE', `/zstack/v1/images/${newUuid()}`, {
        headers: { 'x-web-hook': url },
      });
      assert.equal(answer.status, 400, url);
    }
  });

  it('gives a call no more time than it asked for, and leaves nothing of it', async () => {
    const answer = await client.http('POST', '/v1/images', {
      body: { name: 'late', url: source.url('/slow.qcow2') },
      headers: { 'x-api-timeout': '1' },
    });
    assert.equal(answer.status, 202, answer.text);
    const ended = await job(answer.headers.get('location') ?? '');
    assert.equal(ended.state, 'Failed');
    assert.equal(ended.error.code, 'SYS.1001');
    assert.deepEqual(await client.query('Image', 'name=late'), []);
    const wrong = await client.http('DELETE', `/v1/images/${newUuid()}`, {
      headers: { 'x-api-timeout': 'x' },
    });
    assert.equal(wrong.status, 400);
  });
});
