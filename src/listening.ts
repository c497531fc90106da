/** Where the service can be reached: its certificate and its address. */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { type Config, splitListen } from './config.ts';
import type { TlsIdentity } from './http/app.ts';
import { IngotError, isSystemError } from './kernel/errors.ts';

/** SYS.1007 where one of the two files is not named, can't be read, or does not go with the other. */
export function readIdentity({ tlsCertificate, tlsKey }: Config): TlsIdentity | undefined {
  if (tlsCertificate === '' && tlsKey === '') return undefined;
  const given = tlsCertificate === '' ? '--tls-key' : tlsKey === '' ? '--tls-certificate' : undefined;
  if (given !== undefined) {
    throw new IngotError('SYS.1007', `${given} is given alone; https needs --tls-certificate and --tls-key`);
  }
  try {
    const identity = { cert: readFileSync(tlsCertificate, 'utf8'), key: readFileSync(tlsKey, 'utf8') };
    createSecureContext(identity);
    return identity;
  } catch (cause) {
    const reason = isSystemError(cause) ? cause.message : String(cause);
    throw new IngotError(
      'SYS.1007',
      `the certificate ${tlsCertificate} and the key ${tlsKey} can't be used: ${reason}`,
      {
        elaboration:
          'Both are to be PEM files that the service may read, and the key that of the certificate.',
      },
    );
  }
}

/** Fulfilled with the address, as a client is to call it. SYS.1006 where listening there is not possible. */
export async function listen(app: FastifyInstance, where: string, scheme: 'http' | 'https'): Promise<string> {
  const { host, port } = splitListen(where);
  try {
    const address = await app.listen({ host, port });
    return address.replace(/^\w+/, scheme).replace('0.0.0.0', '127.0.0.1').replace('[::]', '[::1]');
  } catch (cause) {
    const reason =
      isSystemError(cause) && cause.code === 'EADDRINUSE'
        ? 'something else listens there already'
        : (cause as Error).message;
    throw new IngotError('SYS.1006', `listening on ${where} is not possible: ${reason}`, {
      cause,
      elaboration: 'Give another address with --listen HOST:PORT or INGOT_LISTEN.',
    });
  }
}
