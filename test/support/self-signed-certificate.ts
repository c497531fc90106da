import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './program.ts';
import { temporaryDirectory } from './temp-directory.ts';

export interface Identity {
  /** Private key, PEM. */
  key: string;
  /** Certificate, PEM. */
  cert: string;
}

let identity: Promise<Identity> | undefined;

/** A certificate for localhost and 127.0.0.1 that signs itself, made once per process. */
export function selfSignedCertificate(): Promise<Identity> {
  identity ??= make();
  return identity;
}

async function make(): Promise<Identity> {
  const directory = temporaryDirectory();
  const [keyFile, certFile] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  await runProgram('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
    ...['-keyout', keyFile, '-out', certFile],
  ]);
  return { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') };
}
