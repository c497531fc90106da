/**
 * The one policy for every connection that the service makes because somebody asked it to: sources of images, web
 * hooks, endpoints of storages. The scheme has to be allowed; an address is judged after the name was looked up, at
 * each connection anew, and once more when the connection stands; the connection goes to the very address that was
 * judged.
 */
import { lookup as dnsLookup } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { type LookupFunction, connect as netConnect, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { Duplex } from 'node:stream';
import { IngotError } from '../kernel/errors.ts';
import { type Address, judgedOf, kindOf, parseAddress } from './address.ts';
import { describeRules, type EgressRule, isAllowed } from './egress-rules.ts';
import { SCHEMES, type Scheme } from './egress-schemes.ts';

/** Where a connection is to go. */
export interface EgressTarget {
  scheme: Scheme;
  /** A name or an address, an IPv6 one with or without its brackets. */
  host: string;
  port: number;
}

export class Egress {
  readonly #rules: readonly EgressRule[];
  readonly #schemes: readonly string[];
  readonly #lookup: LookupFunction;
  readonly #own = new Set<number>();

  /** `schemes` are all by default. `lookup` finds the addresses of names; the system's by default. */
  constructor({
    rules,
    schemes = SCHEMES,
    lookup = dnsLookup as LookupFunction,
  }: { rules: readonly EgressRule[]; schemes?: readonly Scheme[]; lookup?: LookupFunction }) {
    this.#rules = rules;
    this.#schemes = schemes;
    this.#lookup = lookup;
  }

  /** A port that this service listens on: nothing of this machine is connected to there. */
  keepFrom(port: number): void {
    this.#own.add(port);
  }

  /** Why nothing may be connected to by the scheme, where that is so; completes "… names". */
  schemeFault(scheme: string): string | undefined {
    if (this.#schemes.includes(scheme)) return undefined;
    const allowed = this.#schemes.join(', ');
    return `the scheme '${scheme}', which is not among those that may be used (the setting egress.schemes: ${allowed})`;
  }

  /**
   * For calls that name what will be connected to; `subject` begins the sentence.
   * @throws IngotError SYS.1007
   */
  requireScheme(scheme: string, subject: string, parameter: string): void {
    const fault = this.schemeFault(scheme);
    if (fault) throw new IngotError('SYS.1007', `${subject} ${fault}`, { opaque: { parameter } });
  }

  /**
   * What `net.connect`, `tls.connect` and `http.request` are to be given as `lookup`.
   * @throws IngotError ID.1002 where the target's scheme may not be used, or it is an address that may not be connected to
   */
  lookupFor(target: EgressTarget): LookupFunction {
    const host = nameOf(target);
    const fault = this.schemeFault(target.scheme);
    if (fault) throw refusal(`${host} must not be connected to by ${fault}`, 'egress.schemes');
    const literal = parseAddress(host);
    if (literal) this.#require(host, host, target);
    return (hostname, options, callback) => {
      this.#lookup(hostname, { ...options, all: true }, (error, found) => {
        if (error) return callback(error, '');
        const addresses = Array.isArray(found)
          ? found
          : [{ address: found, family: found.includes(':') ? 6 : 4 }];
        const good = addresses.filter(
          ({ address }) => this.#whyNot(address, host, target.port) === undefined,
        );
        const [first] = good;
        if (!first) {
          const refused = addresses[0]?.address ?? 'none';
          return callback(this.#refusal(refused, host, target.port), '');
        }
        if (options.all) callback(null, good);
        else callback(null, first.address, first.family);
      });
    };
  }

  /** Ends the socket, with the error, where it turns out to be connected to what may not be. */
  guard(socket: Socket, target: Omit<EgressTarget, 'scheme'>): void {
    // Before anything that waits to be sent.
    socket.prependOnceListener('connect', () => {
      const { remoteAddress } = socket;
      // Not there where the other side has hung up already.
      if (remoteAddress === undefined) return;
      try {
        this.#require(remoteAddress, nameOf(target), target);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
  }

  /** A TCP connection under way, for clients that take a socket; its errors come as the socket's. */
  connect(target: EgressTarget): Socket {
    const host = nameOf(target);
    const socket = netConnect({ host, port: target.port, lookup: this.lookupFor(target) });
    this.guard(socket, target);
    return socket;
  }

  /** For clients that take an agent of node:http or node:https. */
  agents(options: https.AgentOptions = {}): { http: http.Agent; https: https.Agent } {
    const plain = new http.Agent(options);
    const secure = new https.Agent(options);
    for (const agent of [plain, secure]) {
      const scheme: Scheme = agent === secure ? 'https' : 'http';
      const create = agent.createConnection.bind(agent);
      agent.createConnection = (connect, callback) => {
        const { host, port } = connect as { host?: string | null; port?: string | number | null };
        const target = { scheme, host: host ?? 'localhost', port: Number(port) };
        try {
          const socket = create({ ...connect, lookup: this.lookupFor(target) }, callback);
          if (socket) this.guard(socket as Socket, target);
          return socket;
        } catch (error) {
          // What is thrown here would not reach the request.
          process.nextTick(() => callback?.(error as Error, new Duplex()));
          return undefined;
        }
      };
    }
    return { http: plain, https: secure };
  }

  #require(address: string, host: string, { port }: { port: number }): void {
    if (this.#whyNot(address, host, port) !== undefined) throw this.#refusal(address, host, port);
  }

  #whyNot(address: string, host: string, port: number): string | undefined {
    const parsed = parseAddress(address);
    if (!parsed) return 'no address';
    const judged = judgedOf(parsed);
    if (this.#own.has(port) && judged.some(isOfThisMachine)) return "this service's own";
    const bad = judged.find((each) => !isAllowed(this.#rules, { host, port, address: each }));
    return bad && `a ${kindOf(bad)} address`;
  }

  #refusal(address: string, host: string, port: number): IngotError {
    const why = this.#whyNot(address, host, port);
    const shown = address === host ? address : `${host} (${address})`;
    return refusal(
      `${shown} must not be connected to at port ${port}: it is ${why}, and only ${describeRules(this.#rules)} may be`,
      'egress.allow',
    );
  }
}

function refusal(sentence: string, setting: string): IngotError {
  return new IngotError('ID.1002', sentence, {
    elaboration: `The administrator can allow it with the setting ${setting} (docs/operations.md, Going out).`,
  });
}

const nameOf = ({ host }: { host: string }) => host.replace(/^\[|\]$/g, '');

function isOfThisMachine(address: Address): boolean {
  const kind = kindOf(address);
  if (kind === 'loopback' || address.bits === 0n) return true;
  return Object.values(networkInterfaces()).some((each) =>
    each?.some((own) => {
      const parsed = parseAddress(own.address);
      return parsed?.family === address.family && parsed.bits === address.bits;
    }),
  );
}
