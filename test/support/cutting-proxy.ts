/** A TCP proxy on 127.0.0.1 that can cut its connections, or hold them. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface CuttingProxy {
  readonly port: number;
  /** Bytes that came from the server behind it. */
  received(): number;
  /** The next connection is cut after so many bytes from the server. */
  cutAfter(bytes: number): void;
  /** From now on, the next connection's bytes from the server are held after so many. */
  holdAfter(bytes: number): void;
  close(): Promise<void>;
}

export async function startCuttingProxy(target: number): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  let received = 0;
  let cut = Number.POSITIVE_INFINITY;
  let hold = Number.POSITIVE_INFINITY;
  const server = createServer((client) => {
    const behind = connect(target, '127.0.0.1');
    for (const socket of [client, behind]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        behind.destroy();
      });
    }
    const [myCut, myHold] = [cut, hold];
    cut = Number.POSITIVE_INFINITY;
    hold = Number.POSITIVE_INFINITY;
    let mine = 0;
    client.pipe(behind);
    behind.on('data', (bytes) => {
      received += bytes.length;
      mine += bytes.length;
      if (mine > myCut) client.destroy();
      else if (mine > myHold) behind.pause();
      else if (!client.write(bytes)) {
        behind.pause();
        client.once('drain', () => behind.resume());
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    received: () => received,
    cutAfter: (bytes) => {
      cut = bytes;
    },
    holdAfter: (bytes) => {
      hold = bytes;
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
