import type { IncomingHttpHeaders } from 'node:http';
import type { AccessKeys } from '../account/access-keys.ts';
import type { Sessions } from '../account/sessions.ts';
import type { Caller } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { HttpProblem } from './answers.ts';
import { readSigned } from './signing.ts';

export interface Authenticators {
  sessions: Sessions;
  accessKeys: AccessKeys;
  clock: Clock;
}

interface Asked {
  method: string;
  /** Path and query as they came. */
  url: string;
  headers: IncomingHttpHeaders;
}

/**
 * Finds out who calls: `OAuth` (or `Bearer`) and a session's uuid, or `ZStack` and a signature. What can be told from
 * the headers alone is told at once, with `missing` as the status where there are none; the rest when it is asked.
 */
export function authentication(
  { sessions, accessKeys, clock }: Authenticators,
  { method, url, headers }: Asked,
  missing: 400 | 401,
): () => Promise<Caller> {
  const header = headers.authorization;
  if (header === undefined) {
    throw new HttpProblem(
      missing,
      'ID.1001',
      "the header 'Authorization: OAuth <session uuid>' is missing; log in first (PUT /zstack/v1/accounts/login)",
    );
  }
  const [, scheme, credentials = ''] = /^(OAuth|Bearer|ZStack) (.*)$/s.exec(header) ?? [];
  if (scheme === 'ZStack') {
    const signed = readSigned(credentials, headers, clock.now());
    return () => accessKeys.callerOf({ ...signed, method, path: signedPath(url) });
  }
  if (scheme === undefined) {
    throw new HttpProblem(
      missing,
      'ID.1001',
      "the Authorization header must be 'OAuth <session uuid>' or 'ZStack <access key id>:<signature>'",
    );
  }
  return () => sessions.callerOf(credentials.trim());
}

/** What clients sign of the address: decoded, without the query, from `/v1` on. */
function signedPath(url: string): string {
  const path = (url.split('?')[0] ?? '').replace(/^\/zstack(?=\/)/, '');
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
