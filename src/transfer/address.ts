/**
 * What an IP address is, whichever way it is written: `::ffff:169.254.169.254` and `64:ff9b::a9fe:a9fe` are as
 * link-local as the address inside of them.
 */
import { isIP } from 'node:net';

export type AddressKind = 'public' | 'private' | 'loopback' | 'link-local' | 'metadata' | 'reserved';

/** A block of addresses; those of IPv4 are kept as their 32 bits. */
export interface Network {
  readonly family: 4 | 6;
  readonly bits: bigint;
  /** Leading bits that count. */
  readonly prefix: number;
}

/** One address. */
export type Address = Omit<Network, 'prefix'>;

/** The special-purpose registries of IANA (RFC 6890), and where clouds tell machines their secrets; first match counts. */
const KINDS: readonly (readonly [AddressKind, readonly string[]])[] = [
  [
    'metadata',
    [
      // Alibaba, Oracle, Azure; then Amazon, Google and Oracle over IPv6. The usual 169.254.169.254 is link-local.
      '100.100.100.200/32',
      '192.0.0.192/32',
      '168.63.129.16/32',
      'fd00:ec2::/32',
      'fd20:ce::/32',
      'fd00:c1::a9fe:a9fe/128',
    ],
  ],
  ['loopback', ['127.0.0.0/8', '::1/128']],
  ['link-local', ['169.254.0.0/16', 'fe80::/10']],
  [
    'private',
    [
      ...['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '198.18.0.0/15'],
      ...['fc00::/7', 'fec0::/10'],
    ],
  ],
  [
    'reserved',
    [
      ...['0.0.0.0/8', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '198.51.100.0/24', '203.0.113.0/24'],
      ...['224.0.0.0/4', '240.0.0.0/4', '::/128', '100::/64', '2001:db8::/32', '3fff::/20', 'ff00::/8'],
    ],
  ],
];

const kinds = KINDS.map(([kind, networks]) => ({
  kind,
  networks: networks.flatMap((network) => parseNetwork(network) ?? []),
}));

/** Where an IPv6 address carries an IPv4 address: the block, and how far to the right of it that stands, in bits. */
const CARRIERS: readonly { network: Network; shift: bigint; inverted?: boolean }[] = (
  [
    ['::ffff:0:0/96', 0n], // IPv4-mapped
    ['::ffff:0:0:0/96', 0n], // translated (RFC 2765)
    ['64:ff9b::/96', 0n], // NAT64
    ['64:ff9b:1::/48', 0n], // NAT64 of one's own network
    ['2002::/16', 80n], // 6to4
    ['::/96', 0n], // IPv4-compatible
  ] as const
).flatMap(([text, shift]) => {
  const network = parseNetwork(text);
  return network ? [{ network, shift }] : [];
});
const TEREDO = parseNetwork('2001::/32');
const LAST_32 = 0xffff_ffffn;

/** Undefined for what is no address. A zone, as in `fe80::1%eth0`, is passed over. */
export function parseAddress(text: string): Address | undefined {
  const plain = text.replace(/%.*$/, '');
  const family = isIP(plain);
  if (family === 4) return { family, bits: bitsOfIpv4(plain) };
  if (family === 6) return { family, bits: bitsOfIpv6(plain) };
  return undefined;
}

/** `10.0.0.0/8`, or an address alone. Undefined for what is neither. */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', given, more] = text.split('/');
  const parsed = parseAddress(address);
  if (!parsed || more !== undefined || (given !== undefined && !/^\d{1,3}$/.test(given))) return undefined;
  const width = widthOf(parsed);
  const prefix = given === undefined ? width : Number(given);
  return prefix > width ? undefined : { ...parsed, prefix };
}

export function isWithin(address: Network | Address, network: Network): boolean {
  if (address.family !== network.family) return false;
  if ('prefix' in address && address.prefix < network.prefix) return false;
  const rest = BigInt(widthOf(network) - network.prefix);
  return address.bits >> rest === network.bits >> rest;
}

export function kindOf(address: Address): AddressKind {
  return (
    kinds.find(({ networks }) => networks.some((network) => isWithin(address, network)))?.kind ?? 'public'
  );
}

/** What has to be judged of an address: what it carries, and itself where it is more than a wrapping. */
export function judgedOf(address: Address): Address[] {
  if (address.family === 4) return [address];
  // These two are no IPv4 addresses.
  if (address.bits <= 1n) return [address];
  const carrier = CARRIERS.find(({ network }) => isWithin(address, network));
  if (carrier) return [{ family: 4, bits: (address.bits >> carrier.shift) & LAST_32 }];
  if (TEREDO && isWithin(address, TEREDO)) {
    return [address, { family: 4, bits: (address.bits & LAST_32) ^ LAST_32 }];
  }
  const interfaceId = (address.bits >> 32n) & LAST_32;
  const isatap = interfaceId === 0x0000_5efen || interfaceId === 0x0200_5efen;
  return isatap ? [address, { family: 4, bits: address.bits & LAST_32 }] : [address];
}

function widthOf({ family }: Address): number {
  return family === 4 ? 32 : 128;
}

function bitsOfIpv4(text: string): bigint {
  return text.split('.').reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

function bitsOfIpv6(text: string): bigint {
  // The last 32 bits may be written as an IPv4 address.
  const hex = text.replace(/[\d.]+\.[\d.]+$/, (tail) => {
    const bits = bitsOfIpv4(tail);
    return `${(bits >> 16n).toString(16)}:${(bits & 0xffffn).toString(16)}`;
  });
  const [left = '', right] = hex.split('::');
  const before = left === '' ? [] : left.split(':');
  const after = right === undefined || right === '' ? [] : right.split(':');
  const zeros = right === undefined ? [] : new Array<string>(8 - before.length - after.length).fill('0');
  return [...before, ...zeros, ...after].reduce((bits, part) => (bits << 16n) | BigInt(`0x${part}`), 0n);
}
