import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { after, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { framingOf } from '../../src/transfer/http-framing.ts';
import { Receiver } from './receiver.ts';

const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});

/** Answers each request by what is called with its connection. */
async function serve(answer: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {}).once('data', () => answer(socket));
    closers.push(() => socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/image`;
}

/** Serves these bytes as they are, in pieces of the given size, and ends each connection. */
async function serveRaw(
  answer: Uint8Array,
  step: number,
  end: (socket: Socket) => void = (socket) => socket.end(),
) {
  const server = createServer((socket) => {
    socket.setNoDelay(true).on('error', () => {});
    socket.once('data', async () => {
      for (let at = 0; at < answer.length && !socket.destroyed; at += step) {
        socket.write(answer.subarray(at, at + step));
        await turn();
      }
      end(socket);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/image`;
}

function chunked(content: Uint8Array, sizes: readonly number[], extension = '', trailer = ''): Buffer {
  const parts: Uint8Array[] = [];
  for (let at = 0, i = 0; at < content.length; i++) {
    const piece = content.subarray(at, at + (sizes[i % sizes.length] ?? 1));
    parts.push(Buffer.from(`${piece.length.toString(16)}${extension}\r\n`), piece, Buffer.from('\r\n'));
    at += piece.length;
  }
  return Buffer.concat([...parts, Buffer.from(`0\r\n${trailer}\r\n`)]);
}

const head = (...lines: string[]) => Buffer.from(`HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\n\r\n`);

describe('the framing of an answer', { concurrency: true }, () => {
  it('in chunks is undone, however it is cut', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 });
    const cuts = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), sizes, cuts, cuts, (content, sizes, steps, rooms) => {
        const framing = framingOf({ 'transfer-encoding': 'chunked' });
        const sent = chunked(content, sizes, ';name="value"', 'Trailer: yes\r\n');
        const payloads: Uint8Array[] = [];
        for (let at = 0, i = 0; at < sent.length; i++) {
          assert.equal(framing.ended, false);
          let rest: Uint8Array = sent.subarray(at, at + (steps[i % steps.length] ?? 1));
          at += rest.length;
          for (let j = 0; rest.length > 0; j++) {
            const room = rooms[j % rooms.length] ?? 1;
            const { used, payload } = framing.next(rest, room);
            assert.ok(payload.length <= room && used > 0);
            payloads.push(payload);
            rest = rest.subarray(used);
          }
        }
        assert.equal(framing.ended, true);
        assert.deepEqual(Buffer.concat(payloads), Buffer.from(content));
      }),
    );
  });

  it('in chunks is refused where it is malformed', async () => {
    for (const body of [
      'nonsense\r\n',
      '-1\r\n',
      '5\r\nabcdefg\r\n',
      `${'f'.repeat(13)}\r\n`,
      '1'.repeat(20_000),
      `0\r\n${'X-Trailer: more and more of it\r\n'.repeat(600)}`,
    ]) {
      const url = await serveRaw(
        Buffer.concat([head('Transfer-Encoding: chunked'), Buffer.from(body)]),
        5000,
      );
      const receiver = await Receiver.open();
      await assert.rejects(receiver.take(url), /chunked answer is malformed/, body.slice(0, 20));
      assert.deepEqual(await receiver.found(), []);
    }
  });

  it('in chunks is no reason to wait for its body for ever', async () => {
    const server = createServer((socket) => {
      socket
        .on('error', () => {})
        .write(Buffer.concat([head('Transfer-Encoding: chunked'), Buffer.from('1;')]));
      const dripping = setInterval(() => socket.write('x'), 50);
      socket.once('close', () => clearInterval(dripping));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => server.close());
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/image`;
    const receiver = await Receiver.open();
    const http = { stallTimeout: 1000, retry: { tries: 0 } };
    await assert.rejects(receiver.take(url, { http }), /No byte of .* came for 1\.0 s/);
    assert.deepEqual(await receiver.found(), []);
  });

  it('that is not known is refused', async () => {
    const url = await serveRaw(
      Buffer.concat([head('Transfer-Encoding: zip, chunked'), randomBytes(10)]),
      5000,
    );
    const receiver = await Receiver.open();
    await assert.rejects(receiver.take(url), /Transfer-Encoding "zip, chunked", which is not supported/);
  });

  it('of many small packets, with answers that come before the answer', async () => {
    const content = randomBytes(3000);
    const early = Buffer.from('HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n');
    for (const [lines, body] of [
      [['Transfer-Encoding: chunked'], chunked(content, [700, 1, 33])],
      [[`Content-Length: ${content.length}`], content],
      [['Connection: close'], content],
    ] as const) {
      for (const step of [1, 7, 100_000]) {
        const url = await serveRaw(Buffer.concat([early, head(...lines), body]), step);
        const receiver = await Receiver.open(1);
        await receiver.check(await receiver.take(url), content);
      }
    }
  });

  it('that comes after heads without end is not waited for, and nobody else waits meanwhile', async () => {
    const endless = (head: string) => Buffer.from(head.repeat(Math.ceil(256_000 / head.length)));
    for (const [flood, first = ''] of [
      ['HTTP/1.1 103 E\r\n\r\n'],
      ['HTTP/1.1 100 Continue\r\n\r\n'],
      [`HTTP/1.1 103 Early Hints\r\nLink: ${'a'.repeat(9000)}\r\n\r\n`],
      ['\r\n'],
      [' ', 'HTTP/1.1 200 OK\r\nX-Large:'],
      [`X: ${'a'.repeat(900)}\r\n`, 'HTTP/1.1 200 OK\r\n'],
    ] as const) {
      let asked = 0;
      const url = await serve((socket) => {
        asked++;
        const piece = endless(flood);
        const pour = () => {
          while (!socket.destroyed && socket.write(piece));
        };
        socket.on('drain', pour).write(first);
        pour();
      });
      const receiver = await Receiver.open(1);
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      await assert.rejects(
        receiver.take(url),
        /\(1xx\) or header lines that come to no end/,
        flood.slice(0, 20),
      );
      delay.disable();
      assert.equal(asked, 1, 'it is not tried again');
      assert.ok(delay.max < 1e9, `others waited ${delay.max / 1e6} ms`);
      assert.deepEqual(await receiver.found(), []);
    }
  });

  it('may come after a few others, and not after many', async () => {
    const hint = 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n';
    const answer = head('Content-Length: 4').toString();
    const receiver = await Receiver.open(1);
    const few = await serveRaw(Buffer.from(`${hint.repeat(8)}${answer}disk`), 100_000);
    await receiver.check(await receiver.take(few), Buffer.from('disk'));
    const many = await serveRaw(Buffer.from(`${hint.repeat(9)}${answer}disk`), 100_000);
    await assert.rejects((await Receiver.open(1)).take(many), { code: 'SYS.1015', message: /\(1xx\)/ });
  });

  it('in another protocol is refused at once, with what came', async () => {
    for (const lines of ['Connection: Upgrade\r\nUpgrade: websocket\r\n', '']) {
      let asked = 0;
      const url = await serve((socket) => {
        asked++;
        socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n`);
      });
      const receiver = await Receiver.open(1);
      await assert.rejects(receiver.take(url), /101 Switching Protocols/);
      assert.equal(asked, 1);
    }
  });

  it('by the end of the connection, when it is ended in order', async () => {
    const content = randomBytes(5_000_000);
    const receiver = await Receiver.open();
    const url = await serveRaw(Buffer.concat([head('Connection: close'), content]), 1_000_000);
    const result = await receiver.take(url);
    assert.equal(result.source.totalSize, content.length);
    await receiver.check(result, content);

    const reset = await serveRaw(Buffer.concat([head('Connection: close'), content]), 1_000_000, (socket) =>
      socket.resetAndDestroy(),
    );
    const other = await Receiver.open();
    await assert.rejects(other.take(reset), /ended after \d+ bytes/);
    assert.deepEqual(await other.found(), []);
  });

  it('by length, whatever follows', async () => {
    const content = randomBytes(200_000);
    const url = await serveRaw(
      Buffer.concat([head(`Content-Length: ${content.length}`), content, randomBytes(90_000)]),
      50_000,
    );
    const receiver = await Receiver.open();
    await receiver.check(await receiver.take(url), content);
  });
});
