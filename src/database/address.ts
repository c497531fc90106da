/** Where a database is: `postgres://user:password@host/name`, or the path of an SQLite file. */
import { IngotError } from '../kernel/errors.ts';

/** SYS.1007 for a URL of something else, which would otherwise become a file's name. */
export function kindOfDatabase(address: string): 'postgres' | 'sqlite' {
  if (/^postgres(ql)?:\/\//i.test(address)) return 'postgres';
  const scheme = /^[a-z][a-z0-9+.-]+:/i.exec(address)?.[0];
  if (scheme === undefined) return 'sqlite';
  throw new IngotError('SYS.1007', `${shownDatabase(address)} is no database that can be used`, {
    elaboration: 'Give postgres://user:password@host/name, or nothing for SQLite in the data directory.',
  });
}

/** The address without its passwords. */
export function shownDatabase(address: string): string {
  if (!/^[a-z][a-z0-9+.-]+:/i.test(address)) return address;
  const url = URL.parse(address);
  // A password with a slash in it takes the URL apart somewhere else.
  if (!url?.host || url.pathname.includes('@')) {
    return address.replace(/:(\/*).*@/s, ':$1***@').replace(/\?.*/s, '');
  }
  if (url.password) url.password = '***';
  for (const name of [...url.searchParams.keys()]) {
    if (/pass/i.test(name)) url.searchParams.set(name, '***');
  }
  return url.href;
}
