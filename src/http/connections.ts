/** How many connections there may be, what waits on each, and how long answers may lie untaken. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import { Gauge } from 'prom-client';
import { metrics } from '../kernel/metrics.ts';
import { isWithin, judgedOf, type Network, parseAddress, parseNetwork } from '../transfer/address.ts';

/** Connections at once; each costs memory before anybody is asked who it is. */
const MOST_CONNECTIONS = 4096;
/** Connections at once from one address, proxies' aside. */
const MOST_FROM_ADDRESS = 1024;
/** Calls on one connection that are not answered yet. Few clients send even two at a time. */
const MOST_CALLS = 16;
/** Bytes of answers that callers have not taken yet, of all connections. */
const MOST_UNTAKEN = 256 * 1024 * 1024;
/** How often it is looked at what callers have not taken, in milliseconds. */
const LOOK_EVERY = 1000;

const open = new Gauge({
  name: 'ingot_http_connections',
  help: 'Connections of callers that are open.',
  registers: [metrics],
});

interface Options {
  /** How long a caller may take no byte of an answer, in milliseconds. */
  patience: number;
  /** Addresses and networks whose connections are those of many. */
  proxies: readonly string[];
}

/**
 * Guards a server against callers who ask and don't take the answers. Node stops reading from such a caller, but
 * answers all that it has read by then, and holds the answers without end.
 */
export class Connections {
  readonly #patience: number;
  readonly #proxies: readonly Network[];
  readonly #open = new Set<Socket>();
  readonly #ofAddress = new Map<string, number>();
  /** What begins the calls that are not answered yet, in their order. */
  readonly #calls = new WeakMap<Socket, (() => void)[]>();

  constructor({ patience, proxies }: Options) {
    this.#patience = patience;
    this.#proxies = proxies.flatMap((text) => parseNetwork(text) ?? []);
  }

  /** The server's handler: calls on one connection come one after another, so that one answer at most is held. */
  handler(answer: RequestListener): RequestListener {
    return (request, response) => this.#enqueue(request, response, () => answer(request, response));
  }

  guard(server: Server & { setTimeout(milliseconds: number): unknown }, secure: boolean): void {
    server.maxConnections = MOST_CONNECTIONS;
    // Below TLS it is the plain one that is counted, as its handshake costs something too.
    server.on('connection', (socket: Socket) => this.#count(socket));
    server.on(secure ? 'secureConnection' : 'connection', (socket: Socket) => this.#keep(socket));
    // Refreshed by every byte that the other side takes or sends.
    server.setTimeout(this.#patience);
    server.on('timeout', (socket: Socket) => {
      const isOwed = (this.#calls.get(socket)?.length ?? 0) > 0 && socket.writableLength === 0;
      // Whoever waits for our answer may wait; its first byte starts the clock again.
      if (!isOwed) socket.destroy();
    });
    const looking = setInterval(() => this.#look(), LOOK_EVERY).unref();
    server.once('close', () => clearInterval(looking));
  }

  #count(socket: Socket): void {
    open.inc();
    socket.once('close', () => open.dec());
    const address = socket.remoteAddress;
    if (address === undefined || this.#isProxy(address)) return;
    const count = (this.#ofAddress.get(address) ?? 0) + 1;
    if (count > MOST_FROM_ADDRESS) {
      socket.destroy();
      return;
    }
    this.#ofAddress.set(address, count);
    socket.once('close', () => {
      const left = (this.#ofAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#ofAddress.set(address, left);
      else this.#ofAddress.delete(address);
    });
  }

  #keep(socket: Socket): void {
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
  }

  /** Lets go of those who hold the most, where it is too much in all. */
  #look(): void {
    const holding = [...this.#open].filter((socket) => socket.writableLength > 0);
    let untaken = holding.reduce((sum, socket) => sum + socket.writableLength, 0);
    if (untaken <= MOST_UNTAKEN) return;
    holding.sort((a, b) => b.writableLength - a.writableLength);
    for (const socket of holding) {
      if (untaken <= MOST_UNTAKEN) return;
      untaken -= socket.writableLength;
      socket.destroy();
    }
  }

  #isProxy(text: string): boolean {
    const address = parseAddress(text);
    if (!address) return false;
    // A socket of both families gives IPv4 addresses as `::ffff:10.0.0.1`.
    return judgedOf(address).some((one) => this.#proxies.some((proxy) => isWithin(one, proxy)));
  }

  #enqueue({ socket }: IncomingMessage, response: ServerResponse, begin: () => void): void {
    const calls = this.#calls.get(socket) ?? [];
    if (calls.length >= MOST_CALLS) socket.destroy();
    if (socket.destroyed) return;
    this.#calls.set(socket, calls);
    response.once('close', () => {
      calls.shift();
      if (!socket.destroyed) calls[0]?.();
    });
    calls.push(begin);
    if (calls.length === 1) begin();
  }
}
