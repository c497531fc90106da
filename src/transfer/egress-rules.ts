/**
 * The setting `egress.allow`: where the service may connect to by itself. Entries with commas between, each with a
 * port or a range of ports where it holds for no others: `public:443, 10.0.0.0/8, [fd00::/8]:8000-8999, *.example.org`.
 */
import { type Address, type AddressKind, isWithin, kindOf, type Network, parseNetwork } from './address.ts';

/** A kind of addresses, a network, or a host by its name. */
type What = { kind: 'public' | 'private' | 'loopback' } | { network: Network } | { host: string };
export type EgressRule = What & {
  /** First and last. */
  readonly ports: readonly [number, number];
};

/** The kinds that an entry which says `public`, `private` or names a host or a wide network never opens. */
const GUARDED: readonly AddressKind[] = ['link-local', 'metadata', 'reserved'];

const ANY_PORT = [1, 65_535] as const;
const FORM = /^(?:\[([^\]]+)\]|([^:]+)|([\da-f]*:[\da-f:.]*(?:\/\d+)?))(?::(\d{1,5})(?:-(\d{1,5}))?)?$/i;
const HOST = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*\.?$/i;

/** Throws an Error that completes "…, but". */
export function parseEgressRules(text: string): EgressRule[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter(Boolean)
    .map(parseEntry);
}

function parseEntry(entry: string): EgressRule {
  // An IPv6 network without brackets has no port.
  const bare = parseNetwork(entry);
  if (bare) return { network: bare, ports: ANY_PORT };
  const [, bracketed, plain, , first, last = first] = FORM.exec(entry) ?? [];
  const name = bracketed ?? plain;
  const ports = first === undefined ? ANY_PORT : ([Number(first), Number(last)] as const);
  const what = name === undefined ? undefined : whatOf(name, bracketed !== undefined);
  if (!what || ports[0] < 1 || ports[1] > 65_535 || ports[0] > ports[1]) {
    throw new Error(
      `'${entry}' is none of public, private, loopback, a network such as 10.0.0.0/8 and a host name, with a port or none`,
    );
  }
  return { ...what, ports };
}

function whatOf(name: string, bracketed: boolean): What | undefined {
  const lower = name.toLowerCase();
  if (lower === 'public' || lower === 'private' || lower === 'loopback') return { kind: lower };
  const network = parseNetwork(lower);
  if (network) return { network };
  // Digits and dots alone are a mistyped address and no name.
  return !bracketed && HOST.test(lower) && !/^[\d.]+(\/|$)/.test(lower)
    ? { host: lower.replace(/\.$/, '') }
    : undefined;
}

/** Whether the rules allow a connection to the address, which stands behind the name `host`. */
export function isAllowed(
  rules: readonly EgressRule[],
  { host, port, address }: { host: string; port: number; address: Address },
): boolean {
  const kind = kindOf(address);
  const guarded = GUARDED.includes(kind);
  return rules.some((rule) => {
    if (port < rule.ports[0] || port > rule.ports[1]) return false;
    if ('kind' in rule) return rule.kind === kind;
    if ('host' in rule) return !guarded && isNamed(host, rule.host);
    // 0.0.0.0/0 means the world: what this machine or its cloud alone offers has to be named by itself.
    const named = guarded || kind === 'loopback' ? isOfKind(rule.network, kind) : true;
    return named && isWithin(address, rule.network);
  });
}

/** Whether the network holds addresses of that kind alone, as far as its first and last ones tell. */
function isOfKind({ family, bits, prefix }: Network, kind: AddressKind): boolean {
  const rest = BigInt((family === 4 ? 32 : 128) - prefix);
  const first = (bits >> rest) << rest;
  const last = first | ((1n << rest) - 1n);
  return kindOf({ family, bits: first }) === kind && kindOf({ family, bits: last }) === kind;
}

function isNamed(host: string, pattern: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '');
  return pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : name === pattern;
}

export function describeRules(rules: readonly EgressRule[]): string {
  return rules.map(describeRule).join(', ') || 'nothing';
}

function describeRule(rule: EgressRule): string {
  const [first, last] = rule.ports;
  const ports = rule.ports === ANY_PORT ? '' : first === last ? `:${first}` : `:${first}-${last}`;
  if ('kind' in rule) return rule.kind + ports;
  if ('host' in rule) return rule.host + ports;
  const { family, bits, prefix } = rule.network;
  const text =
    family === 4
      ? [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 0xffn).join('.')
      : Array.from({ length: 8 }, (_, i) => ((bits >> BigInt(112 - 16 * i)) & 0xffffn).toString(16)).join(
          ':',
        );
  return family === 4 ? `${text}/${prefix}${ports}` : `[${text}/${prefix}]${ports}`;
}
