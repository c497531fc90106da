/** How many connections there may be, what waits on each, and how long answers may lie untaken. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import { Gauge } from 'prom-client';
import { metrics } from '../kernel/metrics.ts';
import { isWithin, judgedOf, type Network, parseAddress, parseNetwork } from '../transfer/address.ts';
import { originOf } from '../transfer/origin.ts';

/** Connections at once; each costs memory before anybody is asked who it is. */
const MOST_CONNECTIONS = 4096;
/** Connections at once from one address, proxies' aside. */
const MOST_FROM_ADDRESS = 1024;
/** Calls on one connection that are not answered yet. Few clients send even two at a time. */
const MOST_CALLS = 16;
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
  /** Bytes of answers that callers have not taken yet, of all connections. */
  mostUntaken?: number;
}

/**
 * Guards a server against callers who ask and don't take the answers. Node stops reading from such a caller, but
 * answers all that it has read by then, and holds the answers without end.
 */
export class Connections {
  readonly #patience: number;
  readonly #proxies: readonly Network[];
  readonly #mostUntaken: number;
  readonly #open = new Set<Socket>();
  /** Below TLS, as long as they have no session; by address and port. */
  readonly #inHandshake = new Map<string, Socket>();
  #isClosing = false;
  readonly #ofAddress = new Map<string, number>();
  /** What begins the calls that are not answered yet, in their order. */
  readonly #calls = new WeakMap<Socket, (() => void)[]>();

  constructor({ patience, proxies, mostUntaken = MOST_UNTAKEN }: Options) {
    this.#patience = patience;
    this.#mostUntaken = mostUntaken;
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
    if (secure) server.on('connection', (socket: Socket) => this.#awaitHandshake(socket));
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

  /** Node's own closing of connections leaves out those that have no TLS session yet, and waits for them. */
  closeHandshakes(): void {
    this.#isClosing = true;
    for (const socket of this.#inHandshake.values()) socket.destroy();
  }

  #awaitHandshake(socket: Socket): void {
    if (this.#isClosing) socket.destroy();
    const name = nameOf(socket);
    this.#inHandshake.set(name, socket);
    socket.once('close', () => this.#inHandshake.delete(name));
  }

  #count(socket: Socket): void {
    open.inc();
    socket.once('close', () => open.dec());
    if (socket.remoteAddress === undefined || this.#isProxy(socket.remoteAddress)) return;
    const address = originOf(socket.remoteAddress);
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
    this.#inHandshake.delete(nameOf(socket));
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
  }

  /** Lets go of those from whose address the most is held, where it is too much in all. */
  #look(): void {
    let untaken = 0;
    const held = new Map<string, { bytes: number; sockets: Socket[] }>();
    for (const socket of this.#open) {
      const bytes = socket.writableLength;
      if (bytes === 0) continue;
      untaken += bytes;
      const origin = originOf(socket.remoteAddress ?? '');
      const one = held.get(origin) ?? { bytes: 0, sockets: [] };
      one.bytes += bytes;
      one.sockets.push(socket);
      held.set(origin, one);
    }
    if (untaken <= this.#mostUntaken) return;
    for (const { sockets } of [...held.values()].sort((one, other) => other.bytes - one.bytes)) {
      for (const socket of sockets.sort((one, other) => other.writableLength - one.writableLength)) {
        if (untaken <= this.#mostUntaken) return;
        untaken -= socket.writableLength;
        socket.destroy();
      }
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

const nameOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress} ${remotePort}`;
