/** `ingot serve`: the service in the foreground, until it is told to stop. */
import { existsSync } from 'node:fs';
import type { Config } from './config.ts';
import { toIngotError } from './kernel/errors.ts';
import { createLog, type Log } from './kernel/log.ts';
import { type Service, startService } from './server.ts';

export async function serve(config: Config): Promise<number> {
  const log = createLog(config.logLevel);
  process.on('uncaughtException', (error, origin) => {
    // What it has left undone in memory is not known, so nothing is gone on with. Jobs are durable.
    log.fatal(
      { err: error, origin },
      'a fault that nobody caught; ending, and the next start goes on with the jobs',
    );
    process.exit(1);
  });
  let reload: (() => void) | undefined;
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      // A second one changes nothing: stopping is under way, and bounded.
      process.on(signal, () => (signal === 'SIGHUP' && reload ? reload() : resolve(signal)));
    }
  });
  const service = await startService(config, log);
  if (config.tlsCertificate !== '') reload = () => renewCertificate(service, log);
  announce(service, config);
  const signal = await stopped;
  log.info({ signal }, 'stopping');
  // Whatever hangs, the process ends in time: jobs are durable, and the next start goes on with them.
  const late = setTimeout(() => {
    log.error('stopping took too long; ending all the same');
    process.exit(1);
  }, 9500);
  late.unref();
  await service.stop().catch((error) => log.error({ err: toIngotError(error) }, 'stopping failed'));
  clearTimeout(late);
  return 0;
}

/** A certificate that is no good leaves the old one where it is. */
function renewCertificate(service: Service, log: Log): void {
  try {
    service.reload();
    log.info('the certificate was read again');
  } catch (error) {
    log.error({ err: toIngotError(error) }, 'the certificate could not be read again; the old one stays');
  }
}

function announce(service: { address: string; firstPassword: string | undefined }, config: Config): void {
  const { data } = config;
  const lines = [
    `Ingot serves ${service.address}  (API documentation: ${service.address}/docs)`,
    service.firstPassword === undefined
      ? // Where several share a database, only the first has the file.
        `Log in as admin${existsSync(data.passwordFile) ? `; the first password is in ${data.passwordFile}` : ''}`
      : `Log in as admin with the password ${service.firstPassword}  (shown once; kept in ${data.passwordFile})`,
    'Add a first image, in another terminal:',
    '  npm start -- AddImage name=my-image url=https://…/image.qcow2',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
