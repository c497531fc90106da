/** Whom a server lets go of when too much of its answers lies untaken. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { it } from 'node:test';
import { Connections } from '../../src/http/connections.ts';
import { until } from '../support/service.ts';

const MIB = 2 ** 20;

it('hangs up on those who hoard, and not on one who is slow', async (test) => {
  // More than the system takes for a client that does not read.
  const answer = Buffer.alloc(16 * MIB, 'x');
  const connections = new Connections({ patience: 60_000, proxies: [], mostUntaken: 100 * MIB });
  const server = createServer(connections.handler((_request, response) => void response.end(answer)));
  connections.guard(server, false);
  const ends = new Set<string>();
  server.on('connection', (socket: Socket) => {
    const { remoteAddress = '' } = socket;
    socket.once('close', () => ends.add(remoteAddress));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const sockets: Socket[] = [];
  test.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    server.closeAllConnections();
  });
  const ask = (localAddress: string) => {
    const socket = connect({ host: '127.0.0.1', port, localAddress }).pause();
    socket.on('error', () => {}).write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    sockets.push(socket);
    return socket;
  };
  const slow = ask('127.0.0.1');
  for (let i = 0; i < 12; i++) ask('127.0.0.2');
  await until('some to be hung up on', () => ends.size > 0);
  assert.deepEqual([...ends], ['127.0.0.2']);
  let taken = 0;
  slow.on('data', (piece) => {
    taken += piece.length;
  });
  slow.resume();
  await until('all of the answer to come', () => taken > answer.length);
});
