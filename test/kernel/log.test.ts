import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sleep } from '../../src/kernel/clock.ts';
import { createLog } from '../../src/kernel/log.ts';

describe('the log', () => {
  it('is one JSON object a line, with the time as people write it, and without secrets', () => {
    const lines: string[] = [];
    const log = createLog('info', { write: (line) => lines.push(line) });
    log
      .child({ reqId: 'r' })
      .info({ password: 'p1', login: { password: 'p2' }, store: { secretKey: 'p3' } }, 'hello');
    log.debug('too quiet');
    log.warn({ req: { headers: { authorization: 'OAuth p4', host: 'h' } } }, 'again');
    assert.equal(lines.length, 2);
    const [hello, again] = lines.map((line) => JSON.parse(line));
    assert.match(hello.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual([hello.msg, hello.reqId, again.req.headers.host], ['hello', 'r', 'h']);
    assert.doesNotMatch(lines.join(''), /p[1-4]/);
  });
});

describe('waiting', () => {
  it('ends at once, with the reason, when it is called off, before or meanwhile', async () => {
    const stop = new AbortController();
    const waiting = sleep(3_600_000, stop.signal);
    const reason = new Error('enough');
    stop.abort(reason);
    await assert.rejects(waiting, (thrown) => thrown === reason);
    await assert.rejects(sleep(3_600_000, stop.signal), (thrown) => thrown === reason);
    await sleep(1, new AbortController().signal);
  });
});
