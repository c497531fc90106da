import { isWithin, parseAddress, parseNetwork } from './address.ts';

const IPV4_MAPPED = parseNetwork('::ffff:0:0/96');

/**
 * What an address counts as where callers are told apart: IPv4 as it is, also inside of IPv6 (`::ffff:192.0.2.1`, as a
 * socket for both shows it); of IPv6 its /64, as whoever has one address of that has all.
 */
export function originOf(from: string): string {
  const address = parseAddress(from);
  if (!address) return from;
  const { family, bits } = address;
  if (family === 4 || (IPV4_MAPPED && isWithin(address, IPV4_MAPPED)))
    return [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 0xffn).join('.');
  const network = [112n, 96n, 80n, 64n].map((shift) => ((bits >> shift) & 0xffffn).toString(16));
  return `${network.join(':')}::/64`;
}
