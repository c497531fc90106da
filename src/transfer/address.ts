/** To which address a source connects: looked up in one place, so that an address that must not be reached never is. */
import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';

/**
 * The address behind a host name, or the literal address itself. `lookup` may refuse either; whoever connects to what
 * this gives connects to what was looked at.
 */
export function addressOf(url: URL, lookup: LookupFunction = systemLookup): Promise<string> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    lookup(host, { all: false }, (error, address) => {
      if (error) reject(error);
      else resolve(Array.isArray(address) ? (address[0]?.address ?? host) : address);
    });
  });
}

/** Part of a URL as its server knows it. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
