/** The setting `egress.schemes`: by which schemes the service may connect to anything by itself. */

/** All that it can go out by. */
export const SCHEMES = ['http', 'https', 'ftp', 'sftp'] as const;
export type Scheme = (typeof SCHEMES)[number];

/** Throws an Error that completes "…, but". */
export function parseEgressSchemes(text: string): Scheme[] {
  const schemes = text
    .split(',')
    .map((scheme) => scheme.trim().toLowerCase())
    .filter(Boolean);
  if (schemes.length === 0) throw new Error(`one or more of ${SCHEMES.join(', ')} are expected`);
  return schemes.map((given) => {
    const scheme = SCHEMES.find((each) => each === given);
    if (!scheme) throw new Error(`'${given}' is none of ${SCHEMES.join(', ')}`);
    return scheme;
  });
}
